"""A worker's refusal, once it can no longer be a status, keeps its code and its words."""

import msgspec
import pytest

from mlxd.protocol import errors, render
from mlxd.protocol.dialect import Dialect
from mlxd.supervisor.front import keepalive, refusal

REFUSALS = [
    errors.InvalidRequest("messages: expected a list", field="messages"),
    errors.ContextLengthExceeded(900, 512),
    errors.UnsupportedField("logit_bias"),
    errors.InsufficientMemory(needed=3, free=2, budget=1),
    errors.QueueFull("7 requests wait"),
    errors.InternalError("oh no"),
]


@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: str(error.code))
@pytest.mark.parametrize("dialect", list(Dialect))
def test_it_comes_back_as_what_it_was(error: errors.MlxdError, dialect: Dialect) -> None:
    body = msgspec.json.encode(render.body(error, dialect))
    back = refusal.from_worker(error.status, body)
    assert type(back) is type(error)
    # In the dialect's own words, where it has some that its clients know.
    assert render.body(back, dialect) == render.body(error, dialect)
    if dialect in (Dialect.OPENAI, Dialect.RESPONSES):
        assert back.field == error.field
    assert render.final_event(back, dialect)


@pytest.mark.parametrize(
    "body",
    [b"", b"oops", b"\xff", b"[]", b'{"error": 7}', b'{"error":{"message":"m","code":"new"}}'],
)
def test_what_cannot_be_read_is_an_internal_error(body: bytes) -> None:
    assert isinstance(refusal.from_worker(502, body), errors.InternalError)


def test_each_dialect_has_the_keep_alive_frame_that_its_clients_count() -> None:
    assert keepalive.frame(Dialect.OPENAI) == b": keep-alive\n\n"
    assert keepalive.frame(Dialect.ANTHROPIC) == b'event: ping\ndata: {"type":"ping"}\n\n'
    assert keepalive.frame(Dialect.OLLAMA) == b""
    for dialect in Dialect:
        frame = keepalive.frame(dialect)
        assert not frame or frame.endswith(keepalive.frame_end(dialect))
        assert keepalive.media_type(dialect)
