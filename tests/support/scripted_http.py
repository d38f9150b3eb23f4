"""Answer HTTP from a script, on a loopback port, and remember what was asked."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_PATIENCE_S = 60.0


@dataclass
class Script:
    """What to answer per "METHOD /path", and what came."""

    url: str = ""
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    asked: list[tuple[str, Any]] = field(default_factory=list)
    authorization: list[str | None] = field(default_factory=list)
    after: dict[str, str] = field(default_factory=dict)
    """Call -> the other call that must have come before it is answered."""
    endless: set[str] = field(default_factory=set)
    """Calls whose answer does not end before the client leaves."""
    left: threading.Event = field(default_factory=threading.Event)
    """Set when the client of an endless answer has left."""
    changed: threading.Condition = field(default_factory=threading.Condition)

    def answer(self, call: str, body: object, status: int = 200) -> None:
        """Answer a call with JSON."""
        self.answers[call] = (status, json.dumps(body).encode())

    def stream(self, call: str, *frames: bytes) -> None:
        """Answer a call with these bytes."""
        self.answers[call] = (200, b"".join(frames))


@contextmanager
def serving() -> Iterator[Script]:
    """Serve a script while the block runs."""
    script = Script()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(script))
    script.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02))
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _may_answer(script: Script, call: str) -> bool:
    awaited = script.after.get(call)
    return awaited is None or any(came == awaited for came, _ in script.asked)


def _handler(script: Script) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(None)

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            self._answer(json.loads(self.rfile.read(length)))

        def _answer(self, body: object) -> None:
            call = f"{self.command} {self.path}"
            with script.changed:
                script.asked.append((call, body))
                script.authorization.append(self.headers.get("authorization"))
                script.changed.notify_all()
                script.changed.wait_for(partial(_may_answer, script, call), timeout=_PATIENCE_S)
            missing = {"message": f"no script for {call}", "code": "route_not_found"}
            status, payload = script.answers.get(
                call, (404, json.dumps({"error": missing}).encode())
            )
            self.send_response(status)
            self.end_headers()
            self.wfile.write(payload)
            if call in script.endless and self.rfile.read(1) == b"":
                script.left.set()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: what was asked is in the script."""

    return Handler
