"""Ollama's client pulls and deletes, through a daemon and against a hub on a loopback port."""

from collections.abc import Iterator

import pytest
from ollama import Client, ResponseError
from support.daemon import Daemon
from support.deadline import until
from support.hub_server import HubServer
from support.model_repo import REPO, WEIGHTS, cached, partial_bytes


@pytest.fixture
def sdk(served: Daemon) -> Iterator[Client]:
    with Client(served.url, timeout=60) as client:
        yield client


def test_a_pull_tells_its_steps_and_the_model_answers(
    hub: HubServer, served: Daemon, sdk: Client
) -> None:
    steps = list(sdk.pull(f"hf.co/{REPO}:latest", stream=True))
    assert steps[-1].status == "success"
    sized = [step for step in steps if step.digest]
    assert sized and all(step.total for step in sized)
    assert sized[-1].completed == sized[-1].total
    assert [step.completed for step in sized] == sorted(step.completed or 0 for step in sized)
    (model,) = sdk.list().models
    assert model.model == REPO
    assert f"sha256:{model.digest}" == sized[-1].digest
    assert sdk.pull(REPO).status == "success"
    answer = sdk.generate(f"{REPO}:latest", "Hello!", options={"num_predict": 3})
    assert answer.model == REPO and answer.eval_count

    assert sdk.delete(f"{REPO}:latest").status == "success"
    assert not sdk.list().models and not sdk.ps().models
    assert not [name for name in cached(served.place) if "snapshots" in name]
    with pytest.raises(ResponseError) as caught:
        sdk.delete(REPO)
    assert caught.value.status_code == 404


def test_a_client_that_leaves_ends_the_pull_and_what_came_is_kept(
    hub: HubServer, served: Daemon, sdk: Client
) -> None:
    hub.hold_after[WEIGHTS] = 2_000_000
    steps = sdk.pull(REPO, stream=True)
    assert next(steps).status
    until(lambda: partial_bytes(served.place) > 0, within=60, what="some of it came")
    steps.close()  # type: ignore[attr-defined]  # a generator, which its type does not say
    until(
        lambda: not any(half["running"] for half in served.get("/v1/downloads")["data"]),
        within=60,
        what="the pull ended",
    )
    assert partial_bytes(served.place) > 0
    hub.release.set()
    assert sdk.pull(REPO).status == "success"


def test_what_the_hub_has_not_is_refused_and_what_is_here_is_not_asked_for(
    hub: HubServer, served: Daemon, sdk: Client
) -> None:
    for stream in (True, False):
        for name, status in (("org/nothing", 404), ("wr--ong", 400)):
            with pytest.raises(ResponseError) as caught:
                answer = sdk.pull(name, stream=stream)
                list(answer)
            assert caught.value.status_code == status
