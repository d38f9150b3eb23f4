"""The peek reads three fields of a body and refuses what no worker could answer."""

import pytest

from mlxd.protocol.errors import InvalidRequest
from mlxd.protocol.peek import Peek, peek
from mlxd.protocol.units import NEVER


def test_it_reads_model_stream_and_keep_alive_and_passes_over_the_rest() -> None:
    body = b'{"messages": [{"model": "no"}], "stream": true, "keep_alive": "5m", "model": "a/b"}'
    assert peek(body) == Peek(model="a/b", stream=True, keep_alive=300.0)


def test_what_is_not_said_has_its_default() -> None:
    assert peek(b'{"model": "a"}') == Peek(model="a", stream=False, keep_alive=None)
    assert peek(b'{"model": "a", "stream": null, "keep_alive": null}') == Peek(model="a")


def test_a_dialect_may_stream_unless_told_otherwise() -> None:
    assert peek(b'{"model": "a"}', stream_default=True).stream
    assert peek(b'{"model": "a", "stream": null}', stream_default=True).stream
    assert not peek(b'{"model": "a", "stream": false}', stream_default=True).stream


@pytest.mark.parametrize(
    ("written", "seconds"), [(b"0", 0.0), (b"-1", NEVER), (b"1.5", 1.5), (b'"30m"', 1800.0), (b'"-1"', NEVER)]
)  # fmt: skip
def test_keep_alive_is_seconds_whatever_its_form(written: bytes, seconds: float) -> None:
    assert peek(b'{"model": "a", "keep_alive": ' + written + b"}").keep_alive == seconds


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{}", "model"),
        (b'{"model": ""}', "model"),
        (b'{"model": null}', "model"),
        (b'{"model": 5}', "model"),
        (b'{"model": "a", "stream": "yes"}', "stream"),
        (b'{"model": "a", "keep_alive": "soon"}', "keep_alive"),
        (b'{"model": "a", "keep_alive": true}', "keep_alive"),
        (b'{"model": "a", "keep_alive": []}', "keep_alive"),
        (b'{"model": "a", "keep_alive": 1e400}', "keep_alive"),
        (b'{"model": "a", "keep_alive": ' + b"9" * 400 + b"}", "keep_alive"),
        (b"[]", None),
        (b"null", None),
    ],
)
def test_a_wrong_field_is_named(body: bytes, field: str | None) -> None:
    with pytest.raises(InvalidRequest) as caught:
        peek(body)
    assert caught.value.field == field
    assert field is None or caught.value.message.startswith(field)


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"{", b'{"model": "a"', b'{"model": "a"} x', b'{"model": "a", "x": nope}',
        b'{"model": "a", "x": 01}', b'{"model": "\xff"}', b'{"model": "\\ud800"}', b"\xef\xbb\xbf{}",
        b"\x00", b"model=a",
    ],
)  # fmt: skip
def test_what_is_not_json_is_refused_as_such(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match="the body is not valid JSON"):
        peek(body)


def test_a_bottomless_body_is_refused() -> None:
    body = b'{"model": "a", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    with pytest.raises(InvalidRequest, match="nested too deeply"):
        peek(body)
