"""What a request costs in lines of log."""

import httpx
from conftest import RunDaemon
from support.daemon import Daemon
from support.deadline import until

REQUESTS = 20
BODY = {"model": "demo", "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 2}
POLLED = (
    "/v1/models", "/v1/ps", "/v1/queue/stats", "/v1/batch/stats", "/v1/ready", "/health", "/metrics",
)  # fmt: skip
"""What the page of operators, probes and scrapers ask every few seconds, for as long as the daemon runs."""


def lines(daemon: Daemon) -> list[str]:
    """Return all lines of all logs."""
    return [
        line
        for path in daemon.place.log_dir.iterdir()
        for line in path.read_text(encoding="utf-8").splitlines()
    ]


def told_of(daemon: Daemon) -> int:
    """Return how many requests for an answer the logs tell of."""
    return sum(" path=/v1/chat/completions " in line for line in lines(daemon))


def test_a_request_writes_at_most_two_lines_into_all_logs_together(
    running_daemon: RunDaemon,
) -> None:
    daemon = running_daemon()
    daemon.post("/v1/chat/completions", BODY)  # loading has lines of its own
    until(lambda: told_of(daemon) == 1, within=60, what="its line, which may follow its answer")
    before = len(lines(daemon))
    for _ in range(REQUESTS):
        daemon.post("/v1/chat/completions", BODY)
        daemon.get("/v1/ps")
    until(lambda: told_of(daemon) == 1 + REQUESTS, within=60, what="a line for each")
    assert len(lines(daemon)) - before <= 2 * REQUESTS


def test_what_is_asked_again_and_again_writes_nothing_unless_it_fails(
    running_daemon: RunDaemon,
) -> None:
    daemon = running_daemon()
    daemon.post("/v1/chat/completions", BODY)
    before = len(lines(daemon))
    with httpx.Client(base_url=daemon.url, timeout=60) as client:
        for _ in range(REQUESTS):
            for path in POLLED:
                assert client.get(path).status_code == 200
        assert client.get("/v1/models/absent").status_code == 404
    absent = "path=/v1/models/absent "
    until(lambda: any(absent in line for line in lines(daemon)), within=60, what="its line")
    told = lines(daemon)
    assert not [line for line in told if any(f" path={path} " in line for path in POLLED)]
    assert (
        len(told) - before < REQUESTS
    )  # the daemon has news of its own, workers too, but not of each request
