"""What a request costs in lines of log."""

from conftest import RunDaemon

REQUESTS = 20
BODY = {"model": "demo", "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 2}


def test_a_request_writes_at_most_two_lines_into_all_logs_together(
    running_daemon: RunDaemon,
) -> None:
    daemon = running_daemon()
    daemon.post("/v1/chat/completions", BODY)  # loading has lines of its own

    def lines() -> int:
        return sum(len(path.read_bytes().splitlines()) for path in daemon.place.log_dir.iterdir())

    before = lines()
    for _ in range(REQUESTS):
        daemon.post("/v1/chat/completions", BODY)
        daemon.get("/v1/ps")
    written = lines() - before
    assert REQUESTS <= written <= 2 * REQUESTS
