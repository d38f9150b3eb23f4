"""Through a real daemon: what is stored outlives it, and so does the news of what it could not finish."""

import sqlite3
from typing import Any

from conftest import RunDaemon
from support.daemon import Daemon

ASK: dict[str, Any] = {"model": "demo", "input": "Hello!", "temperature": 0}


def test_what_is_stored_outlives_the_daemon(running_daemon: RunDaemon) -> None:
    daemon = running_daemon()
    first = daemon.post("/v1/responses", ASK)
    text = first["output"][0]["content"][0]["text"]
    assert text
    assert daemon.end() == 0
    again = Daemon(daemon.place)
    try:
        assert again.get(f"/v1/responses/{first['id']}") == first
        second = again.post("/v1/responses", ASK | {"previous_response_id": first["id"]})
        assert second["usage"]["input_tokens"] > first["usage"]["total_tokens"]
    finally:
        again.end()


def test_a_killed_daemon_s_background_response_has_failed(running_daemon: RunDaemon) -> None:
    daemon = running_daemon()
    begun = daemon.post("/v1/responses", ASK | {"background": True, "max_output_tokens": 1})
    assert begun["status"] == "queued"
    daemon.kill()
    file = daemon.place.state_dir / "responses.db"
    with sqlite3.connect(file) as db:
        (status,) = db.execute("SELECT status FROM kept WHERE id = ?", (begun["id"],)).fetchone()
    db.close()
    again = Daemon(daemon.place)
    try:
        found = again.get(f"/v1/responses/{begun['id']}")
        expected = "failed" if status in ("queued", "in_progress") else status
        assert found["status"] == expected
    finally:
        again.end()
