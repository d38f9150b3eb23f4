"""Write and read server-sent events (WHATWG HTML, section 9.2)."""

from collections.abc import Iterator

COMMENT = b": keep-alive\n\n"


def event(data: bytes, name: str | None = None) -> bytes:
    """Return one event; `data` must not hold a line break."""
    prefix = b"" if name is None else f"event: {name}\n".encode()
    return prefix + b"data: " + data + b"\n\n"


DONE = event(b"[DONE]")


class Parser:
    """Split a byte stream into (name, data) events, however it is cut into chunks."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, chunk: bytes) -> Iterator[tuple[str | None, bytes]]:
        """Yield each event completed by `chunk`; comments are dropped."""
        self._buffer = (self._buffer + chunk).replace(b"\r\n", b"\n")
        while b"\n\n" in self._buffer:
            block, self._buffer = self._buffer.split(b"\n\n", 1)
            name: str | None = None
            data: list[bytes] = []
            for line in block.split(b"\n"):
                field, _, value = line.partition(b":")
                value = value.removeprefix(b" ")
                if field == b"event":
                    name = value.decode()
                elif field == b"data":
                    data.append(value)
            if data:
                yield name, b"\n".join(data)
