"""Routing by the fields of a form."""

import httpx
import pytest

from mlxd.protocol.errors import InvalidRequest
from mlxd.protocol.peek import Peek
from mlxd.supervisor.front import form


def encoded(fields: dict[str, str], audio: bytes = b"RIFF\r\n--x") -> tuple[bytes, str]:
    """Return a form as an official client writes it, and its Content-Type."""
    request = httpx.Request(
        "POST", "http://x/", data=fields, files={"file": ("model", audio, "audio/wav")}
    )
    return request.read(), request.headers["content-type"]


def test_model_stream_and_keep_alive_are_read_past_a_file() -> None:
    body, kind = encoded({"model": "whisper", "stream": "true", "keep_alive": "5m"})
    assert form.is_form(kind)
    assert form.peek(body, kind) == Peek("whisper", True, 300)


@pytest.mark.parametrize(("text", "seconds"), [("30", 30), ("0", 0), ("1.5", 1.5), ("", None)])
def test_keep_alive_is_seconds_or_a_duration(text: str, seconds: float | None) -> None:
    body, kind = encoded({"model": "m", "keep_alive": text})
    assert form.peek(body, kind).keep_alive == seconds


def test_a_file_called_model_is_no_model() -> None:
    body, kind = encoded({"prompt": "model"})
    with pytest.raises(InvalidRequest, match="model: expected the name"):
        form.peek(body, kind)


@pytest.mark.parametrize("cut", [5, 10, 60])
def test_a_cut_form_is_refused(cut: int) -> None:
    body, kind = encoded({"model": "m"})
    with pytest.raises(InvalidRequest, match="not a valid form"):
        form.peek(body[:-cut], kind)


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"model": "m" * 5000}, "model"), ({"model": "m", "keep_alive": "soon"}, "keep_alive")],
)
def test_a_wrong_value_is_named(fields: dict[str, str], field: str) -> None:
    body, kind = encoded(fields)
    with pytest.raises(InvalidRequest) as refused:
        form.peek(body, kind)
    assert refused.value.field == field


def test_many_parts_and_no_boundary_are_refused() -> None:
    body, kind = encoded({f"f{number}": "x" for number in range(300)} | {"model": "m"})
    with pytest.raises(InvalidRequest, match="more than 256 parts"):
        form.peek(body, kind)
    with pytest.raises(InvalidRequest, match="no boundary"):
        form.peek(body, "multipart/form-data")


def test_a_name_that_is_no_text_is_refused() -> None:
    body, kind = encoded({"model": "marker"})
    with pytest.raises(InvalidRequest, match="not UTF-8"):
        form.peek(body.replace(b"marker", b"\xff\xfe"), kind)
