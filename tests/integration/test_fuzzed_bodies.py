"""Whatever a body holds, the answer is one, or says what is wrong with it; nothing breaks and nothing stays behind."""

import asyncio
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, cast

import httpx
import pytest
from starlette.routing import Route
from support import tiny_models
from support.daemon import Daemon, Home
from support.deadline import until
from support.fuzz_cases import Requests
from support.fuzz_routes import SPARE, TARGETS
from support.fuzzing import fuzz

from mlxd.config import demo
from mlxd.config.load import load
from mlxd.supervisor.app import build_app

KEY = "fuzz"
KINDS = {
    "eyes": "smolvlm",
    "vectors": "bert",
    "judge": "bert_reranker",
    "mouth": "pocket_tts",
    "ears": "whisper_bare",
    "brush": "z_image_turbo",
}
COSTLY = frozenset({"judge", "mouth", "ears", "brush"})
"""Left to the long run."""
SEED = int(os.environ.get("MLXD_TEST_SEED", "1"))
"""Another seed is another set of bodies; a failure names the one that it had."""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Give a daemon with a model of each kind, all of them loaded, and one that may come and go."""
    found = demo.find()
    assert found is not None
    models: list[dict[str, Any]] = [
        {"id": "text", "source": str(found.path), "context_length": 256},
        {"id": SPARE, "source": str(tiny_models.folder("bert"))},
    ]
    for name, kind in KINDS.items():
        models.append({"id": name, "source": str(tiny_models.folder(kind))})
    with ExitStack() as stack:
        home = Home(
            tmp_path_factory.mktemp("fuzz") / "home",
            {"HF_ENDPOINT": "http://127.0.0.1:9", "MLXD_SERVER_API_KEY": KEY},
        )
        stack.callback(home.remove)
        home.configure(
            {
                "models": models,
                "demo": False,
                "hub": False,
                "defaults": {"idle_timeout": -1, "prompt_cache_disk": 0},
                "media": {"max_audio": "60s", "max_generated_pixels": 64 * 64},
            }
        )
        daemon = Daemon(home)
        stack.callback(daemon.end)
        yield daemon


@pytest.fixture(scope="module")
def http(daemon: Daemon) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=daemon.url, headers=headers, timeout=200) as client:
        yield client


def pids(http: httpx.Client) -> dict[str, int]:
    """Return the processes of the models that are to stay."""
    models = http.get("/v1/ps").json()["models"]
    return {model["id"]: model["pid"] for model in models if model["id"] != SPARE}


def is_idle(http: httpx.Client) -> bool:
    """Tell whether no batch holds a row, and nobody waits."""
    busy = ("waiting", "prefill", "decode")
    stats = http.get("/v1/batch/stats").json()["models"]
    rows = sum(model.get(name) or 0 for model in stats for name in busy)
    active = sum(
        m["active_requests"] + m["queued_requests"] for m in http.get("/v1/ps").json()["models"]
    )
    return rows == 0 and active == 0


def holds(
    daemon: Daemon, http: httpx.Client, numbers: range, without: frozenset[str] = frozenset()
) -> None:
    """Send these requests, and look at what they left behind."""
    for name in {"text", *KINDS} - without:
        assert http.post("/v1/models/load", json={"model": name}).status_code == 200
    before = pids(http)
    made = http.post("/v1/responses", json={"model": "text", "input": "hi", "max_output_tokens": 2})
    talk = http.post("/v1/conversations", json={})
    requests = Requests(SEED, [made.json()["id"], talk.json()["id"], "somebody"], without)
    tally = asyncio.run(fuzz(daemon.url, KEY, requests, numbers))
    for took, case in sorted(tally.times)[-12:]:
        print(f"{took:.1f} s: {case[:300]}")
    print(json.dumps(tally.by_status()))
    assert not tally.wrong, f"seed {SEED}, {len(tally.wrong)} wrong:\n" + "\n".join(
        tally.wrong[:20]
    )
    assert tally.share(200) > 0.2, "most bodies are so wrong that they show nothing"
    assert tally.share(400) > 0.2
    until(lambda: is_idle(http), within=60, what="no row is left in any batch")
    assert pids(http) == before
    for log in daemon.place.log_dir.iterdir():
        assert "Traceback" not in log.read_text(errors="replace"), log.name


@pytest.mark.timeout(600)
def test_fifteen_hundred_bodies_are_answered_or_refused(daemon: Daemon, http: httpx.Client) -> None:
    holds(daemon, http, range(1_500), without=COSTLY)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_twenty_thousand_bodies_are_answered_or_refused(daemon: Daemon, http: httpx.Client) -> None:
    holds(daemon, http, range(20_000))


def test_every_route_that_takes_a_body_is_among_them() -> None:
    nothing = cast(Any, None)
    app = build_app(load(None, {"MLXD_HOME": "/nowhere"}), nothing, nothing, nothing)
    served = {
        (method, route.path.replace(":path", ""))
        for route in app.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"GET", "HEAD"}
    }
    assert served == {(target.method, target.path) for target in TARGETS}
