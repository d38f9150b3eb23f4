"""Lay out one kept state as a safetensors file: a header, the tokens, the arrays of every leaf.

The first field of the header is a checksum over the whole file, header and tokens included, taken with zeros in its
own place: whatever byte changes, the file is refused. Nothing in it is executed: classes are built by name from a
fixed list, numbers and texts come from JSON.
"""

import json
import math
import os
import zlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from io import BufferedReader
from typing import Any, BinaryIO, Final

import mlx.core as mx

from mlxd.workers.prompt_cache import caches
from mlxd.workers.prompt_cache.eviction_order import Kind
from mlxd.workers.prompt_cache.packing import WIDTH, Packed, count
from mlxd.workers.prompt_cache.snapshot import Snapshot

FORMAT: Final = "mlxd-prompt-cache/1"
CHUNK: Final = 4 << 20
"""Bytes between two looks at the clock: about a millisecond of copying."""
LONGEST_HEADER: Final = 16 << 20

_START: Final = b'{"__metadata__":{"digest":"'
_NO_DIGEST: Final = b"00000000"
_LENGTH: Final = 8
_DIGEST_AT: Final = _LENGTH + len(_START)
_DTYPES: Final = {
    "BOOL": mx.bool_, "U8": mx.uint8, "U16": mx.uint16, "U32": mx.uint32, "U64": mx.uint64,
    "I8": mx.int8, "I16": mx.int16, "I32": mx.int32, "I64": mx.int64,
    "F16": mx.float16, "BF16": mx.bfloat16, "F32": mx.float32, "F64": mx.float64, "C64": mx.complex64,
}  # fmt: skip
_NAMES: Final = {dtype: name for name, dtype in _DTYPES.items()}


class Damaged(Exception):
    """The file is not what was written, or was not written here."""


@dataclass(frozen=True, slots=True)
class Part:
    """One array of a file."""

    leaf: int
    dtype: mx.Dtype
    shape: tuple[int, ...]
    nbytes: int


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself before its checksum was looked at; believe it after that only."""

    raw: bytes
    digest: bytes
    fingerprint: str
    tenant: str
    kind: Kind
    trimmable: bool
    tokens: int
    shape: caches.Shape
    outlines: list[list[Any]]
    parts: tuple[Part, ...]

    @property
    def nbytes(self) -> int:
        """Return the size the file must have."""
        arrays = sum(part.nbytes for part in self.parts)
        return len(self.raw) + self.tokens * WIDTH + arrays


def compose(state: Snapshot, fingerprint: str) -> bytes:
    """Return the header of a state's file, zeros for its checksum."""
    fields: dict[str, Any] = {
        "__metadata__": {
            "digest": _NO_DIGEST.decode(),
            "format": FORMAT,
            "fingerprint": fingerprint,
            "tenant": state.tenant,
            "kind": state.kind,
            "trimmable": str(int(state.trimmable)),
            "shape": json.dumps(state.shape),
            "leaves": json.dumps([caches.outline(leaf) for leaf in state.leaves]),
        },
        "tokens": _field("U32", [count(state.tokens)], 0, len(state.tokens)),
    }
    at = len(state.tokens)
    for number, leaf in enumerate(state.leaves):
        for inner, array in enumerate(caches.arrays(leaf)):
            shape, end = list(array.shape), at + array.nbytes
            fields[f"{number}.{inner}"] = _field(_NAMES[array.dtype], shape, at, end)
            at = end
    text = json.dumps(fields, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(_LENGTH, "little") + text


def write(file: BinaryIO, state: Snapshot, fingerprint: str) -> Iterator[None]:
    """Write a state's file, pausing after each chunk."""
    header = compose(state, fingerprint)
    digest = zlib.crc32(header)
    file.write(header)
    for piece in _pieces(state):
        for at in range(0, len(piece), CHUNK):
            chunk = piece[at : at + CHUNK]
            digest = zlib.crc32(chunk, digest)
            file.write(chunk)
            yield
    file.seek(_DIGEST_AT)
    file.write(b"%08x" % digest)
    file.flush()


def read_header(file: BufferedReader) -> Header:
    """Return what the file says of itself, and leave it at the tokens; a file of the wrong size is damaged."""
    length = int.from_bytes(file.read(_LENGTH), "little")
    if not len(_START) < length <= LONGEST_HEADER:
        raise Damaged("the header's length is impossible")
    text = file.read(length)
    if len(text) < length or not text.startswith(_START):
        raise Damaged("it has no header of ours")
    raw = length.to_bytes(_LENGTH, "little") + text
    digest = raw[_DIGEST_AT : _DIGEST_AT + len(_NO_DIGEST)]
    blank = raw[:_DIGEST_AT] + _NO_DIGEST + raw[_DIGEST_AT + len(_NO_DIGEST) :]
    try:
        header = _parsed(blank, digest, json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"the header makes no sense: {error!r}") from error
    if (size := os.fstat(file.fileno()).st_size) != header.nbytes:
        raise Damaged(f"it has {size} bytes instead of {header.nbytes}")
    return header


def read_tokens(file: BufferedReader, header: Header) -> Packed:
    """Return the tokens that follow the header."""
    tokens = file.read(header.tokens * WIDTH)
    if len(tokens) < header.tokens * WIDTH:
        raise Damaged("it ends within the tokens")
    return Packed(tokens)


def read(file: BufferedReader) -> Generator[None, None, Snapshot]:
    """Return the state of a whole file, pausing after each chunk; raise `Damaged` unless every byte is right."""
    header = read_header(file)
    tokens = read_tokens(file, header)
    digest = zlib.crc32(tokens, zlib.crc32(header.raw))
    arrays: list[list[mx.array]] = [[] for _ in header.outlines]
    for part in header.parts:
        buffer = memoryview(bytearray(part.nbytes))
        for at in range(0, part.nbytes, CHUNK):
            chunk = buffer[at : at + CHUNK]
            if file.readinto(chunk) < len(chunk):
                raise Damaged("it ends early")
            digest = zlib.crc32(chunk, digest)
            yield
        arrays[part.leaf].append(_array(buffer, part))
    if file.read(1) or b"%08x" % digest != header.digest:
        raise Damaged("its checksum is wrong")
    try:
        leaves = [
            caches.restore(outline, found)
            for outline, found in zip(header.outlines, arrays, strict=True)
        ]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise Damaged(f"its caches cannot be built: {error!r}") from error
    return Snapshot(tokens, header.tenant, header.kind, header.shape, leaves, header.trimmable)


def _field(dtype: str, shape: list[int], begin: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def _pieces(state: Snapshot) -> Iterator[memoryview]:
    """Yield the bytes after the header; one array at a time is computed and held."""
    yield memoryview(state.tokens)
    for leaf in state.leaves:
        for array in caches.arrays(leaf):
            if array.nbytes:
                flat = mx.view(mx.contiguous(array).reshape(-1), mx.uint8)
                mx.eval(flat)
                yield memoryview(flat)  # type: ignore[arg-type]


def _array(buffer: memoryview, part: Part) -> mx.array:
    if not part.nbytes:
        return mx.zeros(part.shape, part.dtype)
    raw: Any = buffer
    return mx.array(raw).view(part.dtype).reshape(part.shape)


def _parsed(raw: bytes, digest: bytes, fields: dict[str, Any]) -> Header:
    about = fields.pop("__metadata__")
    tokens = fields.pop("tokens")
    if about["format"] != FORMAT:
        raise ValueError(f"format {about['format']}")
    if tokens["dtype"] != "U32" or tokens["data_offsets"] != [0, tokens["shape"][0] * WIDTH]:
        raise ValueError("tokens are not where they belong")
    at = tokens["data_offsets"][1]
    parts = []
    for name, field in fields.items():
        begin, end = field["data_offsets"]
        dtype, shape = _DTYPES[field["dtype"]], tuple(map(int, field["shape"]))
        if begin != at or end - begin != math.prod(shape) * dtype.size:
            raise ValueError(f"array {name} is not where it belongs")
        parts.append(Part(int(name.partition(".")[0]), dtype, shape, end - begin))
        at = end
    return Header(
        raw=raw,
        digest=digest,
        fingerprint=about["fingerprint"],
        tenant=about["tenant"],
        kind=Kind(about["kind"]),
        trimmable=about["trimmable"] == "1",
        tokens=tokens["shape"][0],
        shape=_shape(json.loads(about["shape"])),
        outlines=json.loads(about["leaves"]),
        parts=tuple(parts),
    )


def _shape(nested: list[Any]) -> caches.Shape:
    return tuple(None if inner is None else _shape(inner) for inner in nested)
