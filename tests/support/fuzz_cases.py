"""Draw requests that are nearly right: from the types of the routes, from the words of the code, from chance."""

import ast
import copy
import functools
import random
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import inspect
from support import sounds
from support.fuzz_routes import SPARE, TARGETS, Target, picture
from support.openai_responses_bodies import ITEM_TYPES
from support.raw_json import Twice, write
from support.typed_values import Hint, Values, fields

from mlxd.protocol import openai_responses_items

_ROOT = Path(__file__).parents[2]
_LONGEST_WORD = 40
_PARTS = (
    "text", "image_url", "input_text", "input_image", "output_text", "refusal", "function", "custom", "namespace",
    "json_schema", "json_object", "grammar", "image", "document", "tool_result", "tool_use", "thinking", "base64",
    "url", "auto", "any", "tool", "none", "enabled", "adaptive", "disabled",
)  # fmt: skip
_SCHEMAS: tuple[Any, ...] = (
    {"type": "object"},
    {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
    {"$ref": "#"},
    {"$ref": "#/$defs/nowhere"},
    {"$ref": "http://127.0.0.1:9/schema"},
    {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
    {"type": "string", "pattern": "(a+)+$"},
    {"type": "string", "pattern": "["},
    {"type": "string", "maxLength": 10**9},
    {"enum": []},
    {"not": {}},
    {"allOf": [{"type": "string"}, {"type": "integer"}]},
    {"anyOf": [{"type": "null"}, {"type": "array", "minItems": 2, "maxItems": 1}]},
    {"type": "smell"},
    {"type": "integer", "multipleOf": 0},
    {"properties": {str(n): {"enum": [n]} for n in range(200)}},
    True,
    False,
)
_GRAMMARS = (
    'start: "a"', "start: start", "start: x", "", 'start: /(/', 'root ::= "a"', 'start: "a"{100000}',
    "start: /a{9999}/", '%json {"type": "object"}', "start: <[7]>", "start: <think>",
)  # fmt: skip
_REGEXES = ("a", "(", "(a+)+$", "a{1,100000}", "[^\\x00]", "\\p{Greek}", "(?=a)b", "\\1", "")
_TEMPLATE_OPTIONS = ("enable_thinking", "tools", "messages", "tokenize", "bos_token", "x")
_LIMITS = {"max_tokens", "max_output_tokens", "options", "size", "steps"}
_BYTES = (
    b"\x00", b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"{", b"}", b"]", b'"', b",", b":", b"\\", b" ",
    b"\r\n", b"null", b"//", b"9", b"-",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """Hold one request, and what else is done to it."""

    number: int
    method: str
    path: str
    content_type: str
    content: bytes
    leaves_early: bool

    def __str__(self) -> str:
        return f"#{self.number} {self.method} {self.path} ({self.content_type}) {self.content!r}"


@functools.cache
def _words() -> tuple[str, ...]:
    """Return the single words that stand in the code which reads requests."""
    found = set()
    for place in ("protocol", "workers/api", "workers/chat"):
        for file in sorted((_ROOT / place).glob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.add(node.value)
    return tuple(
        sorted(word for word in found if len(word) <= _LONGEST_WORD and len(word.split()) == 1)
    )


@functools.cache
def _items() -> tuple[inspect.Type, ...]:
    known = vars(openai_responses_items).values()
    structs = [
        found
        for found in known
        if isinstance(found, type) and issubclass(found, msgspec.Struct) and found is not msgspec.Struct
    ]  # fmt: skip
    return tuple(inspect.type_info(found) for found in structs)


@functools.cache
def _fields_of(kind: type[msgspec.Struct]) -> dict[str, inspect.Type]:
    return fields(kind)


@functools.cache
def _picture_uri() -> str:
    return f"data:image/png;base64,{picture()}"


@functools.cache
def _recording() -> bytes:
    return sounds.file("wav", sounds.chirp(0.3))


def _among(*values: Any) -> Hint:
    return lambda draw: copy.deepcopy(draw.choice(values))


def _few(draw: random.Random) -> int:
    return draw.choice([1, 1, 2, 3, 4] * 8 + [40, 0, 2**31])


_HINTS: dict[str, Hint] = {
    "role": _among(*["user", "assistant", "system", "tool", "developer"] * 3, "wizard", ""),
    "type": _among(*_PARTS, *ITEM_TYPES),
    "max_tokens": _few,
    "max_completion_tokens": _few,
    "max_output_tokens": _few,
    "num_predict": _few,
    "n": _among(1, 1, 1, 2, 3, 8, 128, 129),
    "parameters": _among(*_SCHEMAS),
    "input_schema": _among(*_SCHEMAS),
    "schema": _among(*_SCHEMAS),
    "format": _among("json", *_SCHEMAS),
    "json": _among(*_SCHEMAS),
    "regex": _among(*_REGEXES),
    "grammar": _among(*_GRAMMARS),
    "url": lambda draw: _picture_uri(),
    "image_url": lambda draw: draw.choice([_picture_uri(), {"url": _picture_uri()}, "x"]),
    "images": lambda draw: [picture()],
    "data": lambda draw: picture(),
    "media_type": _among("image/png", "text/plain", "application/pdf"),
    "keep_alive": _among("10m", -1, "1h", 0, 1, "0s", "x", 10**400, True, "1e5", "-1s"),
    "tool_choice": _among("auto", "none", "required", {"type": "function", "name": "f"}),
    "stop": _among("a", ["a", ""], [], ["\n"] * 17, "\x00"),
    "size": _among(
        "32x32", "48x16", "auto", "0x0", "1x1", "99999x99999", "32", "x", "-16x16", "1e3x16"
    ),
    "steps": _among(2, 2, 2, 3, 1, 0, 1000),
    "logit_bias": _among({"1": 5}, {"1535": -100, "7": 100}, {"x": 1}, {"-1": 1}, {"1": 101}),
    "models": _among([], ["text"], ["*"], ["nobody"]),
    "input_text": _among("hi"),
}


class Requests:
    """Draw requests; the same seed and number give the same one."""

    def __init__(
        self, seed: int, names: Sequence[str] = (), without: frozenset[str] = frozenset()
    ) -> None:
        self._seed = seed
        self._targets = [target for target in TARGETS if without.isdisjoint(target.models)]
        self._names = names
        """What things that were made before are called."""
        self._weights = [target.weight for target in self._targets]

    def case(self, number: int) -> Case:
        """Return one request."""
        draw = random.Random(f"{self._seed}-{number}")
        (target,) = draw.choices(self._targets, self._weights)
        path = self._path(target, draw)
        body = _Body(target, draw)
        leaves = draw.random() < 0.02
        if target.upload:
            boundary = f"x{number}"
            content = body.form(boundary)
            kind = f"multipart/form-data; boundary={boundary}"
        else:
            content, kind = body.json(), "application/json"
        if draw.random() < 0.01:
            kind = draw.choice(["text/plain", "multipart/form-data", "application/json; charset=x"])
        return Case(number, target.method, path, kind, content, leaves)

    def _path(self, target: Target, draw: random.Random) -> str:
        parts = []
        for part in target.path.split("/"):
            if part.startswith("{"):
                name = draw.choice(
                    [*self._names, SPARE, draw.choice(_words()), "\x00", "é/../x", "%"]
                )
                part = quote(name, safe="")
            parts.append(part)
        return "/".join(parts)


class _Body:
    """Draw one body."""

    def __init__(self, target: Target, draw: random.Random) -> None:
        self._target = target
        self._draw = draw
        self._values = Values(draw, _words(), _HINTS)

    def json(self) -> bytes:
        """Return a body of JSON, or of what was that before it was mutated."""
        body = self._changed()
        if self._draw.random() < 0.35:
            for _ in range(self._draw.randint(1, 2)):
                self._spoil(body)
        content = write(body)
        return self._damaged(content) if self._draw.random() < 0.15 else content

    def form(self, boundary: str) -> bytes:
        """Return a form with fields and a file."""
        parts = []
        for name, value in self._changed().items():
            for one in value if isinstance(value, list) else (value,):
                text = one.encode("utf-8", "surrogatepass") if isinstance(one, str) else write(one)
                parts.append(f'name="{name}"'.encode() + b"\r\n\r\n" + text)
        if self._draw.random() < 0.9:
            name = self._target.upload
            content = _recording() if name == "file" else b64decode(picture())
            # To hear what is said costs a second.
            if self._draw.random() < (0.8 if name == "file" else 0.3):
                content = self._damaged(content)
            parts.append(f'name="{name}"; filename="a"\r\n\r\n'.encode() + content)
        self._draw.shuffle(parts)
        edge = b"--" + boundary.encode()
        head = edge + b"\r\nContent-Disposition: form-data; "
        whole = b"".join(head + part + b"\r\n" for part in parts) + edge + b"--\r\n"
        return self._damaged(whole) if self._draw.random() < 0.15 else whole

    def _changed(self) -> dict[str, Any]:
        """Return the small right body with a few fields set anew."""
        target, draw = self._target, self._draw
        body = copy.deepcopy(target.whole)
        if target.models:
            body["model"] = draw.choice(target.models)
        if target.kind is None:
            return body
        kinds = _fields_of(target.kind)
        often = [name for name in kinds if name != "model"] or ["model"]
        for _ in range(draw.choice([0, 1, 1, 2, 2, 3, 4, 8])):
            name = draw.choice(often) if draw.random() < 0.95 else draw.choice([*_words(), "model"])
            body[name] = self._field(name, kinds)
        for name in _LIMITS & target.whole.keys():
            if body[name] is None and draw.random() < 0.9:  # a whole window of tokens takes long
                body[name] = copy.deepcopy(target.whole[name])
        if draw.random() < 0.01:
            body["keep_alive"] = self._values.fitting(inspect.AnyType(), "keep_alive")
        if "keep_alive" in body or (target.path.startswith("/v1/models/") and draw.random() < 0.9):
            body["model"] = SPARE  # the others are to stay
        return body

    def _field(self, name: str, kinds: dict[str, inspect.Type]) -> Any:
        kind = kinds.get(name, inspect.AnyType())
        if isinstance(kind, inspect.RawType) or name == "items":
            count = self._draw.randrange(1, 4)
            return [self._item() for _ in range(count)] if self._draw.random() < 0.9 else "hi"
        if name == "input" and isinstance(kind, inspect.StrType):
            return self._draw.choice(["Hello there.", "", "!?", "é" * 30, "a\x00b", "x" * 5000])
        return self._values.fitting(kind, name, 1)

    def _item(self) -> Any:
        made = self._values.fitting(self._draw.choice(_items()), "", 1)
        if "role" not in made or self._draw.random() < 0.5:
            made["type"] = self._draw.choice(ITEM_TYPES)
        return made

    def _spoil(self, body: Any) -> None:
        """Put something wrong somewhere into a body."""
        while True:
            if not isinstance(body, dict | list) or not body:
                return
            key: Any = self._draw.choice(list(body) if isinstance(body, dict) else range(len(body)))
            inner = body[key]
            if isinstance(inner, dict | list) and inner and self._draw.random() < 0.7:
                body = inner
                continue
            break
        if key in ("model", "keep_alive", *_LIMITS) and self._draw.random() < 0.8:
            return
        match self._draw.randrange(4):
            case 0:
                del body[key]
            case 1 if isinstance(body, dict) and not isinstance(inner, Twice):
                body[key] = Twice((inner, self._values.wrong()))
            case 2 if isinstance(body, dict):
                body[self._values.text()] = self._values.wrong()
            case _:
                body[key] = self._values.wrong()

    def _damaged(self, content: bytes) -> bytes:
        """Return bytes of which a few are lost, overwritten or added."""
        draw, made = self._draw, bytearray(content)
        if draw.random() < 0.2:
            return bytes(made[: draw.randrange(len(made) + 1)])
        if draw.random() < 0.1:
            return bytes(
                made.decode("latin-1").encode(draw.choice(["utf-16", "utf-32", "utf-8-sig"]))
            )
        for _ in range(draw.randint(1, 3)):
            at = draw.randrange(len(made) + 1)
            made[at : at + draw.choice([0, 0, 1, 4])] = draw.choice(_BYTES)
        return bytes(made)
