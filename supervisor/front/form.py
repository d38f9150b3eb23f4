"""Read from a multipart body the few fields the supervisor routes by; files are passed over."""

from typing import TYPE_CHECKING, Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from mlxd.protocol.errors import InvalidRequest
from mlxd.protocol.peek import Peek, keep_alive_seconds

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_ROUTING: Final = frozenset({b"model", b"stream", b"keep_alive"})
_LONGEST_VALUE: Final = 4096
"""Bytes; a model's name is shorter."""
_MOST_PARTS: Final = 256


def is_form(content_type: str) -> bool:
    """Tell whether a body of this type is a form with parts."""
    return content_type.partition(";")[0].strip().lower() == "multipart/form-data"


def peek(body: bytes, content_type: str) -> Peek:
    """Return model, stream and keep_alive of a form; raises InvalidRequest naming the field."""
    fields = _fields(body, content_type)
    model = fields.get(b"model", "").strip()
    if not model:
        raise InvalidRequest("model: expected the name of a model", field="model")
    stream = fields.get(b"stream", "").strip().lower() in ("true", "1")
    return Peek(model=model, stream=stream, keep_alive=_keep_alive(fields.get(b"keep_alive")))


def _keep_alive(text: str | None) -> float | None:
    if text is None or not text.strip():
        return None
    try:
        return keep_alive_seconds(float(text))
    except ValueError:
        return keep_alive_seconds(text.strip())


def _fields(body: bytes, content_type: str) -> dict[bytes, str]:
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise InvalidRequest("the form's Content-Type names no boundary")
    reader = _Reader()
    try:
        parser = MultipartParser(boundary, reader.callbacks())
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise InvalidRequest(f"the body is not a valid form: {error}") from None
    if not reader.ended:
        raise InvalidRequest("the body is not a valid form: it ends in the middle of a part")
    return reader.fields


class _Reader:
    """Collect the values of routing fields; the first of each name counts, as the worker sees it."""

    def __init__(self) -> None:
        self.fields: dict[bytes, str] = {}
        self.ended = False
        self._parts = 0
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._name: bytes | None = None
        self._value = bytearray()

    def callbacks(self) -> "MultipartCallbacks":
        """Return what the parser calls."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header_name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._header_value.extend(data[start:end]),
            "on_header_end": self._header,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._over,
        }

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise InvalidRequest(f"the form has more than {_MOST_PARTS} parts")
        self._name = None
        self._value.clear()

    def _header(self) -> None:
        if bytes(self._header_name).lower() == b"content-disposition":
            _, options = parse_options_header(bytes(self._header_value))
            name = options.get(b"name")
            self._name = name if name in _ROUTING and b"filename" not in options else None
        self._header_name.clear()
        self._header_value.clear()

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._name is None:
            return
        self._value += data[start:end]
        if len(self._value) > _LONGEST_VALUE:
            name = self._name.decode()
            raise InvalidRequest(f"{name}: has more than {_LONGEST_VALUE} bytes", field=name)

    def _end(self) -> None:
        if self._name is not None and self._name not in self.fields:
            try:
                self.fields[self._name] = self._value.decode()
            except UnicodeDecodeError:
                name = self._name.decode()
                raise InvalidRequest(f"{name}: is not UTF-8", field=name) from None

    def _over(self) -> None:
        self.ended = True
