"""However a stream is cut, its events are the same."""

from hypothesis import given
from hypothesis import strategies as st

from mlxd.protocol.sse import COMMENT, Parser, event

LINE = st.binary(max_size=12).filter(lambda data: not {10, 13} & set(data))
EVENTS = st.lists(st.tuples(st.none() | st.sampled_from(["ping", "message"]), LINE), max_size=8)


def fed(stream: bytes, cuts: list[int]) -> list[tuple[str | None, bytes]]:
    """Return the events of a stream that comes in chunks."""
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    parser = Parser()
    return [
        found
        for start, end in zip(edges, edges[1:], strict=False)
        for found in parser.feed(stream[start:end])
    ]


@given(EVENTS, st.lists(st.integers(min_value=0)), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_written_events_come_back_from_any_chunks(
    events: list[tuple[str | None, bytes]], cuts: list[int], line_end: bytes
) -> None:
    stream = COMMENT.join(event(data, name) for name, data in events)
    assert fed(stream.replace(b"\n", line_end), cuts) == events


@given(st.binary(max_size=200), st.lists(st.integers(min_value=0)))
def test_any_bytes_give_the_same_events_from_any_chunks(stream: bytes, cuts: list[int]) -> None:
    assert fed(stream, cuts) == fed(stream, [])
