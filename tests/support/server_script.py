"""Run the daemon's server around an app that never ends by itself; `python -m` of this file is what tests signal.

The first argument says what draining does: `finish` lets the requests end, `wait` waits to be hurried.
"""

import asyncio
import sys
from pathlib import Path

from starlette.types import Receive, Scope, Send

from mlxd.supervisor.front.listener import listen, url_of
from mlxd.supervisor.front.request_trace import RequestTrace
from mlxd.supervisor.front.server import Server
from mlxd.supervisor.logs import log_lines


async def run(mode: str) -> None:
    """Serve until signalled."""
    released, hurried = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun ", "more_body": True})
        await released.wait()
        await send({"type": "http.response.body", "body": b"ended", "more_body": False})

    async def drain() -> None:
        print("draining", flush=True)
        if mode == "finish":
            released.set()
        else:
            await hurried.wait()

    public = listen("127.0.0.1", 0)
    server = Server(RequestTrace(app), public, drain=drain, hurry=hurried.set, client_timeout=30)
    await server.run(lambda: print(url_of(public), flush=True))
    print("over", flush=True)


if __name__ == "__main__":
    log_lines.configure("info", Path.cwd())
    asyncio.run(run(sys.argv[1]))
