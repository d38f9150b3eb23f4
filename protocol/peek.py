"""Read from a JSON body the few fields the supervisor routes by, and nothing else of it."""

import msgspec

from mlxd.protocol.errors import InvalidRequest
from mlxd.protocol.units import parse_duration


class _Head(msgspec.Struct):
    model: str | msgspec.UnsetType = msgspec.UNSET
    stream: bool | None = None
    stream_format: object = None
    keep_alive: str | int | float | None = None


class Peek(msgspec.Struct, frozen=True):
    """What routing needs of a body."""

    model: str
    stream: bool = False
    keep_alive: float | None = None
    """Seconds, `units.NEVER`, or None where the body says nothing."""


_decoder = msgspec.json.Decoder(_Head)


def peek(body: bytes, *, stream_default: bool = False) -> Peek:
    """Return model, stream and keep_alive of a JSON object; the whole body is checked to be JSON.

    Only the UTF-8 inside strings that are passed over is left to the worker to refuse.
    Raises InvalidRequest naming the field.
    """
    try:
        head = _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise invalid(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"the body is not valid JSON: {error}") from None
    except RecursionError:
        raise InvalidRequest("the body is nested too deeply") from None
    if head.model is msgspec.UNSET or not head.model:
        raise InvalidRequest("model: expected the name of a model", field="model")
    stream = stream_default if head.stream is None else head.stream
    stream = stream or head.stream_format == "sse"  # how speech asks for events
    return Peek(model=head.model, stream=stream, keep_alive=keep_alive_seconds(head.keep_alive))


def keep_alive_seconds(value: str | int | float | None) -> float | None:
    """Return a body's keep_alive in seconds, or None where there is none; raises InvalidRequest."""
    if value is None:
        return None
    try:
        return parse_duration(value)
    except ValueError as error:
        raise InvalidRequest(f"keep_alive: {error}", field="keep_alive") from None


def invalid(error: msgspec.ValidationError) -> InvalidRequest:
    """Turn msgspec's "Expected … - at `$.a.b`" into an error that names the field as `a.b`."""
    reason, _, path = str(error).partition(" - at `")
    field = path.removesuffix("`").removeprefix("$").removeprefix(".") or None
    return InvalidRequest(f"{field}: {reason}" if field else reason, field=field)
