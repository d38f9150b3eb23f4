"""Write and read server-sent events (WHATWG HTML, section 9.2)."""

import re
from collections.abc import Iterator

_LINE_END = re.compile(rb"\r\n|\n|\r")

COMMENT = b": keep-alive\n\n"


def event(data: bytes, name: str | None = None) -> bytes:
    """Return one event; `data` must not hold a line break."""
    prefix = b"" if name is None else f"event: {name}\n".encode()
    return prefix + b"data: " + data + b"\n\n"


DONE = event(b"[DONE]")


class Parser:
    """Split a byte stream into (name, data) events, however it is cut into chunks."""

    def __init__(self) -> None:
        self._line: list[bytes] = []
        self._after_cr = False
        self._name: str | None = None
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> Iterator[tuple[str | None, bytes]]:
        """Return each event completed by `chunk`; comments and events without data are dropped."""
        if self._after_cr:
            if not chunk:
                return iter(())
            # The line ended with the carriage return of the last chunk already.
            chunk = chunk.removeprefix(b"\n")
        self._after_cr = chunk.endswith(b"\r")
        *ended, rest = _LINE_END.split(chunk)
        events: list[tuple[str | None, bytes]] = []
        for end in ended:
            self._line.append(end)
            self._take(b"".join(self._line), events)
            self._line.clear()
        if rest:
            self._line.append(rest)
        return iter(events)

    def _take(self, line: bytes, events: list[tuple[str | None, bytes]]) -> None:
        if not line:
            if self._data:
                events.append((self._name, b"\n".join(self._data)))
            self._name, self._data = None, []
            return
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            self._name = value.decode(errors="replace")
        elif field == b"data":
            self._data.append(value)
