"""Downloads and removals through the daemon: shared, cancelled, resumed, seen at once."""

import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import psutil
import pytest
from support.daemon import Daemon, Home, is_gone
from support.deadline import until
from support.hub_server import HubServer
from support.model_repo import REPO, WEIGHTS, cached, model_files, partial_bytes

from mlxd.protocol.sse import Parser

SIZE = len(model_files()[WEIGHTS])


@contextmanager
def pulling(daemon: Daemon, **body: Any) -> Iterator[HTTPResponse]:
    """Hold a pull for as long as the block lasts."""
    connection = HTTPConnection("127.0.0.1", daemon.port, timeout=60)
    content = json.dumps({"model": REPO, **body})
    connection.request("POST", "/v1/models/pull", content, {"content-type": "application/json"})
    with connection.getresponse() as response:
        assert response.status == 200
        try:
            yield response
        finally:
            connection.close()


def steps(response: HTTPResponse) -> list[dict[str, Any]]:
    """Return the events of a pull up to its end."""
    events = Parser().feed(response.read())
    return [json.loads(data) for _, data in events]


def listed(daemon: Daemon) -> list[str]:
    """Return the models that can be asked for."""
    return [model["id"] for model in daemon.get("/v1/models")["data"]]


def refusal(daemon: Daemon, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """Return status and error of a call that must fail."""
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(daemon.url + path, content, method=method)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=60)
    with caught.value as error:
        return error.code, json.load(error)["error"]


def test_a_pulled_model_answers_at_once_and_a_removed_one_is_gone(
    hub: HubServer, served: Daemon
) -> None:
    assert listed(served) == []
    status, error = refusal(served, "POST", "/v1/chat/completions", {"model": REPO, "messages": []})
    assert (status, error["code"]) == (404, "model_not_found")
    assert hub.asked == []

    assert served.ctl("pull", REPO).returncode == 0
    assert listed(served) == [REPO]
    asked = len(hub.asked)
    body = {"model": REPO, "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 4}
    assert served.post("/v1/chat/completions", body)["model"] == REPO
    assert len(hub.asked) == asked

    done = served.ctl("rm", REPO, "--yes")
    assert done.returncode == 1 and f"model {REPO} is loaded" in done.stderr
    done = served.ctl("rm", REPO, "--yes", "--force")
    assert done.stdout.startswith(f"unloaded {REPO}, deleted {REPO}: "), done.stderr
    assert (listed(served), served.ps(), cached(served.place)) == ([], [], [])
    status, error = refusal(served, "DELETE", f"/v1/models/{REPO}")
    assert (status, error["code"]) == (404, "model_not_found")


def test_two_pulls_of_one_model_share_one_download(hub: HubServer, served: Daemon) -> None:
    hub.hold_after[WEIGHTS] = SIZE // 2
    with pulling(served) as first, pulling(served) as second:
        until(lambda: partial_bytes(served.place) > 0, within=60, what="some of it came")
        children = psutil.Process(served.pid).children()
        assert len([c for c in children if "downloads.child" in " ".join(c.cmdline())]) == 1
        hub.release.set()
        ends = [steps(response)[-1] for response in (first, second)]
    assert [end["status"] for end in ends] == ["done", "done"]
    assert hub.ranges(WEIGHTS) == [None]


def test_a_client_that_leaves_ends_the_download_and_the_next_one_goes_on(
    hub: HubServer, served: Daemon
) -> None:
    hub.hold_after[WEIGHTS] = SIZE // 2
    with pulling(served):
        until(lambda: partial_bytes(served.place) > SIZE // 4, within=60, what="half came")
        (half,) = served.get("/v1/downloads")["data"]
        assert half["running"] and half["total_bytes"] > half["completed_bytes"] > 0
        assert listed(served) == []
    until(lambda: not psutil.Process(served.pid).children(), within=60, what="the child has left")
    had = partial_bytes(served.place)

    shown = served.ctl("list")
    assert "incomplete" in shown.stdout and REPO in shown.stdout
    assert f"`mlxctl pull {REPO}` goes on with it" in shown.stderr

    def told() -> str | None:
        asked = {"model": REPO, "messages": []}
        status, error = refusal(served, "POST", "/v1/chat/completions", asked)
        return error["message"] if status == 503 else None

    # The daemon looks at the disk at most once a second.
    assert f"mlxctl pull {REPO}" in until(told, within=60, what="the half model is known")

    hub.release.set()
    assert served.ctl("pull", REPO).returncode == 0
    assert hub.ranges(WEIGHTS) == [None, f"bytes={had}-"]
    assert served.get("/v1/downloads")["data"] == []


def test_a_half_download_can_be_removed(hub: HubServer, served: Daemon) -> None:
    hub.hold_after[WEIGHTS] = SIZE // 2
    with pulling(served):
        until(lambda: partial_bytes(served.place) > 0, within=60, what="some of it came")
        status, error = refusal(served, "DELETE", f"/v1/models/{REPO}")
        assert (status, error["code"]) == (409, "model_busy")
    until(lambda: not psutil.Process(served.pid).children(), within=60, what="the child has left")
    assert served.ctl("rm", REPO, "--yes").returncode == 0
    assert (cached(served.place), served.get("/v1/downloads")["data"]) == ([], [])


def test_the_child_ends_with_the_daemon(hub: HubServer, served: Daemon) -> None:
    hub.hold_after[WEIGHTS] = SIZE // 2
    with pulling(served):
        until(lambda: partial_bytes(served.place) > 0, within=60, what="some of it came")
        (child,) = psutil.Process(served.pid).children()
        served.kill()
        until(lambda: is_gone(child.pid), within=60, what="the child has left")


def test_a_stopping_daemon_tells_whoever_follows(hub: HubServer, served: Daemon) -> None:
    hub.hold_after[WEIGHTS] = SIZE // 2
    with pulling(served) as response:
        until(lambda: partial_bytes(served.place) > 0, within=60, what="some of it came")
        ending = threading.Thread(target=served.end)
        ending.start()
        last = steps(response)[-1]
        ending.join()
    assert last["error"]["code"] == "shutting_down" and "resume" in last["error"]["message"]


def test_refusals_have_a_status_of_their_own(hub: HubServer, served: Daemon) -> None:
    hub.false_sizes[WEIGHTS] = 10**16
    for body, status, code, field in (
        ({"model": "no/such"}, 404, "repo_not_found", "model"),
        ({"model": "../etc"}, 400, "invalid_request", "model"),
        ({"model": f"{REPO}@nope"}, 404, "repo_not_found", None),
        ({"model": REPO, "speed": 1}, 400, "invalid_request", "speed"),
        ({"model": REPO, "stream": False}, 507, "disk_full", None),
    ):
        got, error = refusal(served, "POST", "/v1/models/pull", body)
        assert (got, error["code"]) == (status, code), error
        assert field is None or error["param"] == field
    got, error = refusal(served, "DELETE", f"/v1/models/{REPO}?force=maybe")
    assert (got, error["param"]) == (400, "force")


def test_lines_of_json_come_to_whoever_asks_for_them(hub: HubServer, served: Daemon) -> None:
    request = urllib.request.Request(
        served.url + "/v1/models/pull",
        json.dumps({"model": REPO}).encode(),
        {"accept": "application/x-ndjson"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        events = [json.loads(line) for line in response]
    assert (events[0]["status"], events[-1]["status"]) == ("planned", "done")
    plan = served.post("/v1/models/pull", {"model": REPO, "dry_run": True})
    assert (plan["status"], plan["fits"], plan["completed_bytes"]) == (
        "planned", True, plan["total_bytes"],
    )  # fmt: skip


def test_without_a_network_everything_else_works(hub: HubServer, alone: Home) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        alone.env["HF_ENDPOINT"] = f"http://127.0.0.1:{closed.getsockname()[1]}"
        daemon = Daemon(alone)
        try:
            body = {"model": "demo", "messages": [{"role": "user", "content": "Hi"}]}
            assert daemon.post("/v1/chat/completions", body)["model"] == "mlxd-demo"
            assert daemon.ctl("list").returncode == 0
            done = daemon.ctl("pull", REPO)
            assert done.returncode == 1 and "the connection to the hub failed" in done.stderr
        finally:
            daemon.end()
