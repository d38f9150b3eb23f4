"""Read a request's body, never holding more of it than is allowed."""

import io

from starlette.datastructures import Headers
from starlette.types import Receive

from mlxd.protocol.errors import RequestTooLarge


class ClientGone(Exception):
    """Say that the client left before it was answered; there is nobody to tell."""


async def read(headers: Headers, receive: Receive, limit: int) -> bytes:
    """Return the body; however slowly it comes, there is no deadline.

    Raises RequestTooLarge, before the first byte is read where Content-Length tells, and ClientGone.
    """
    declared = headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(f"{int(declared)} bytes", limit)
    # One growing block instead of thousands of pieces: nothing is held twice at the end, and freed it is the system's.
    content = io.BytesIO()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk: bytes = message.get("body", b"")
        if content.tell() + len(chunk) > limit:
            raise _too_large(f"more than {limit} bytes", limit)
        content.write(chunk)
        if not message.get("more_body", False):
            return content.getvalue()


def _too_large(size: str, limit: int) -> RequestTooLarge:
    return RequestTooLarge(f"the body has {size}, at most {limit} bytes are accepted")
