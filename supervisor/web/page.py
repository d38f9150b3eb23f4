"""Serve `/admin`: a page that asks the same routes as `mlxctl` does, with the key that its reader types in.

The files themselves hold nothing that needs a key, and a browser that opens an address could not show one.
"""

import hashlib
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

PATH = "/admin"
INDEX = "index.html"
FOLDER = Path(__file__).parent
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}
FILES = tuple(sorted(file.name for file in FOLDER.iterdir() if file.suffix in _TYPES))
"""What there is to serve; no name of a request ever becomes a path."""
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",
}
PATHS = frozenset({PATH, *(f"{PATH}/{name}" for name in FILES if name != INDEX)})
"""What needs no key."""


def routes() -> list[Route]:
    """Return the page's routes."""
    named = {path: path.removeprefix(PATH).lstrip("/") or INDEX for path in sorted(PATHS)}
    return [Route(path, _Asset(name).serve) for path, name in named.items()]


class _Asset:
    """Hold one file, read once."""

    def __init__(self, name: str) -> None:
        self._content = (FOLDER / name).read_bytes()
        tag = f'"{hashlib.sha256(self._content).hexdigest()[:24]}"'
        self._headers = HEADERS | {"etag": tag, "content-type": _TYPES[Path(name).suffix]}

    async def serve(self, request: Request) -> Response:
        """Send the file, unless the browser has this very one."""
        if request.headers.get("if-none-match") == self._headers["etag"]:
            return Response(status_code=304, headers=self._headers)
        return Response(self._content, headers=self._headers)
