"""Read the JSON body of a request into a dialect's struct, or say in words which field is at fault."""

import re
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from mlxd.protocol.errors import InvalidRequest, UnsupportedField
from mlxd.protocol.peek import invalid

T = TypeVar("T")
_MISSING = re.compile(r"missing required field `([^`]*)`(?: - at `([^`]*)`)?")
_UNKNOWN = re.compile(r"contains unknown field `([^`]*)`(?: - at `([^`]*)`)?")


class Refused:
    """Know a dialect's fields that are known and not implemented, with the values besides null that ask for nothing."""

    def __init__(self, fields: Mapping[str, tuple[object, ...]]) -> None:
        self._fields = fields
        names = [(name, object, None) for name in fields]
        self._decoder = msgspec.json.Decoder(msgspec.defstruct("_Refused", names))

    def check(self, body: bytes) -> None:
        """Raise UnsupportedField for the first one that asks for something."""
        found = self._decoder.decode(body)
        for name, harmless in self._fields.items():
            value = getattr(found, name)
            if value is not None and not any(_same(value, other) for other in harmless):
                raise UnsupportedField(name)


def decode(body: bytes, decoder: msgspec.json.Decoder[T], refused: Refused) -> T:
    """Return the request; raises InvalidRequest or UnsupportedField naming the field at fault."""
    try:
        body.decode()
        request = decoder.decode(body)
        refused.check(body)
    except msgspec.ValidationError as error:
        raise named(error) from None
    except RecursionError:
        raise InvalidRequest("the body is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"the body is not valid JSON: {error}") from None
    return request


def named(error: msgspec.ValidationError) -> InvalidRequest:
    """Name a missing or unknown field as the one at fault; msgspec names only the object around it."""
    for pattern, fault in (
        (_MISSING, "required and missing"),
        (_UNKNOWN, "nobody knows this field"),
    ):
        if (found := pattern.search(str(error))) is not None:
            path = (found[2] or "$").removeprefix("$").removeprefix(".")
            field = f"{path}.{found[1]}" if path else found[1]
            return InvalidRequest(f"{field}: {fault}", field=field)
    return invalid(error)


def _same(value: object, other: object) -> bool:
    return value == other and isinstance(value, bool) is isinstance(other, bool)
