"""Make values from the types that requests are read into: fitting, on their borders, or of another type altogether."""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import inspect
from support.raw_json import Twice, Verbatim

DEPTH = 5
"""How deep a value that fits may be nested."""
_ODD_TEXTS = (
    "", " ", "\n", "\x00", "\ud800", "a\udfffb", "\ufeff", "\u202e", "é🙂", "\\", '"', "{", "[]", "null", "-1",
    "<think>", "</think>", "<tool_call>", "<|im_end|>", "<|im_start|>assistant", "[TOOL_CALLS]", "../../etc/passwd",
    "data:image/png;base64,AAAA", "http://127.0.0.1:9/x.png", "file:///etc/passwd", "a" * 300, "é" * 2000, "%00", "*",
)  # fmt: skip
_ODD_NUMBERS = (
    0, -0.0, 1, -1, 2, 0.5, 1e-300, -1e-300, 1e300, 2**31, 2**32, 2**53 + 1, 2**63, -(2**63) - 1, 2**64, 10**40,
)  # fmt: skip
_NO_NUMBERS = (
    b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1E+400", b"01", b"0x10", b"1.", b".5", b"+1", b"1_000",
    b"9" * 5000, b"0." + b"3" * 400,
)  # fmt: skip
_NO_TEXTS = (
    b'"\xff\xfe"',
    b'"\xc3"',
    b'"\\ud800"',
    b'"\\u12"',
    b'"\x00"',
    b'"\n"',
    b"'x'",
    b'"open',
)
_DEEP = (b"[" * 3000 + b"]" * 3000, b'{"a":' * 800 + b"1" + b"}" * 800, b"[" * 5000)

Hint = Callable[[random.Random], Any]


class Values:
    """Draw values; the same source of chance gives the same ones."""

    def __init__(
        self, draw: random.Random, words: Sequence[str], hints: Mapping[str, Hint]
    ) -> None:
        self._draw = draw
        self._words = words
        self._hints = hints

    def fitting(self, kind: inspect.Type, name: str = "", depth: int = 0) -> Any:
        """Return a value that the type takes; a hint for a field of this name beats the type."""
        if name in self._hints and self._draw.random() < 0.8:
            return self._hints[name](self._draw)
        match kind:
            case inspect.StructType():
                return self._struct(kind, depth)
            case inspect.UnionType():
                return self.fitting(self._draw.choice(kind.types), name, depth)
            case inspect.LiteralType():
                return self._draw.choice(kind.values)
            case inspect.EnumType():
                return self._draw.choice(list(kind.cls)).value
            case inspect.ListType() | inspect.VarTupleType():
                most = 0 if depth > DEPTH else 3
                return [
                    self.fitting(kind.item_type, "", depth + 1)
                    for _ in range(self._draw.randint(min(1, most), most))
                ]
            case inspect.DictType():
                return self._mapping(kind, depth)
            case _:
                return self._scalar(kind, depth)

    def _struct(self, kind: inspect.StructType, depth: int) -> dict[str, Any]:
        made = {}
        for field in kind.fields:
            if field.required or (depth < DEPTH and self._draw.random() < 0.25):
                made[field.encode_name] = self.fitting(field.type, field.encode_name, depth + 1)
        if kind.tag_field is not None:
            made[kind.tag_field] = kind.tag
        return made

    def _mapping(self, kind: inspect.DictType, depth: int) -> dict[str, Any]:
        count = self._draw.randrange(3) if depth <= DEPTH else 0
        names = [self.text() if self._draw.random() < 0.8 else self._number() for _ in range(count)]
        return {str(name): self.fitting(kind.value_type, "", depth + 1) for name in names}

    def _scalar(self, kind: inspect.Type, depth: int) -> Any:
        match kind:
            case inspect.IntType() | inspect.FloatType():
                return self._bounded(kind)
            case inspect.StrType():
                return self.text()
            case inspect.BoolType():
                return self._draw.random() < 0.5
            case inspect.NoneType():
                return None
            case inspect.AnyType() | inspect.RawType() if depth <= DEPTH:
                return self.anything(depth + 1)
            case _:
                return self.text()

    def _bounded(self, kind: inspect.IntType | inspect.FloatType) -> int | float:
        low = kind.ge if kind.ge is not None else kind.gt
        high = kind.le if kind.le is not None else kind.lt
        if self._draw.random() < 0.2:  # on the border, beside it, or far away
            near = [edge + by for edge in (low, high) if edge is not None for by in (-1, 0, 1)]
            return self._draw.choice([*near, *_ODD_NUMBERS])
        low = 0 if low is None else low
        high = min(low + 8, low + 8 if high is None else high)
        if isinstance(kind, inspect.IntType):
            return self._draw.randint(int(low), int(high))
        return self._draw.choice([round(self._draw.uniform(low, high), 2), int(low), int(high)])

    def text(self) -> str:
        """Return words that the code under test knows, or a text that is hard to bear."""
        if self._draw.random() < 0.7:
            return self._draw.choice(self._words)
        return self._draw.choice(_ODD_TEXTS)

    def _number(self) -> int | float:
        return self._draw.choice([self._draw.randint(-2, 600), self._draw.choice(_ODD_NUMBERS)])

    def anything(self, depth: int = 0) -> Any:
        """Return JSON of any shape."""
        kind = self._draw.randrange(7 if depth <= DEPTH else 4)
        match kind:
            case 0:
                return self.text()
            case 1:
                return self._number()
            case 2:
                return self._draw.choice([None, True, False, [], {}])
            case 3 | 4:
                return self.text()
            case 5:
                return [self.anything(depth + 1) for _ in range(self._draw.randrange(3))]
            case _:
                return {self.text(): self.anything(depth + 1) for _ in range(3)}

    def wrong(self) -> Any:
        """Return what hardly any field takes, or what is not even JSON."""
        match self._draw.randrange(6):
            case 0:
                return Verbatim(self._draw.choice(_NO_NUMBERS))
            case 1:
                return Verbatim(self._draw.choice(_NO_TEXTS))
            case 2 if self._draw.random() < 0.3:
                return Verbatim(self._draw.choice(_DEEP))
            case 3:
                return Twice((self.anything(), self.anything()))
            case _:
                return self.anything()


def fields(kind: type[msgspec.Struct]) -> dict[str, inspect.Type]:
    """Return the type of each field of a struct by its name on the wire."""
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    return {field.encode_name: field.type for field in info.fields}
