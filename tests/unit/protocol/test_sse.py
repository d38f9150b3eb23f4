"""Server-sent events are written and read as the standard says."""

import pytest

from mlxd.protocol import sse
from mlxd.protocol.sse import Parser


def parse(*chunks: bytes) -> list[tuple[str | None, bytes]]:
    """Return all events of a stream."""
    parser = Parser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


def test_an_event_is_written_as_clients_expect() -> None:
    assert sse.event(b"{}") == b"data: {}\n\n"
    assert sse.event(b"{}", "ping") == b"event: ping\ndata: {}\n\n"
    assert sse.DONE == b"data: [DONE]\n\n"


def test_what_is_written_is_read() -> None:
    assert parse(sse.event(b"a") + sse.COMMENT + sse.event(b"b", "x") + sse.DONE) == [
        (None, b"a"), ("x", b"b"), (None, b"[DONE]"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\r\n\r\n", [(None, b"a")]),
        (b"data: a\r\r", [(None, b"a")]),
        (b"data: a\n\r\n", [(None, b"a")]),
        (b"data: a\ndata: b\n\n", [(None, b"a\nb")]),
        (b"data:a\n\n", [(None, b"a")]),
        (b"data:  a\n\n", [(None, b" a")]),
        (b"data\n\n", [(None, b"")]),
        (b"data: a:b\n\n", [(None, b"a:b")]),
        (b": nothing\n\n", []),
        (b"event: ping\n\ndata: a\n\n", [(None, b"a")]),
        (b"id: 5\nretry: 10\ndata: a\n\n", [(None, b"a")]),
        (b"event: \xff\ndata: a\n\n", [("\ufffd", b"a")]),
        (b"\n\n\ndata: a\n\n\n", [(None, b"a")]),
        (b"data: a\n", []),
        (b"data: a", []),
    ],
)
def test_the_standard_decides(stream: bytes, events: list[tuple[str | None, bytes]]) -> None:
    assert parse(stream) == events


def test_a_line_end_may_be_cut_in_two() -> None:
    assert parse(b"data: a\r", b"\n\r", b"\ndata: b\r", b"", b"\n\r\n") == [
        (None, b"a"), (None, b"b"),
    ]  # fmt: skip


def test_a_long_line_in_small_chunks_costs_no_more_than_its_length() -> None:
    """Joining the whole line at each chunk would take minutes here."""
    chunks = [b"data: ", *[b"x" * 64] * 100_000, b"\n\n"]
    assert parse(*chunks) == [(None, b"x" * 6_400_000)]
