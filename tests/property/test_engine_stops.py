"""A stop string ends the text just before itself, however the text is cut (promise E15)."""

from hypothesis import given
from hypothesis import strategies as st
from support.splits import cut, places

from mlxd.workers.engine.stops import StopStrings

letters = st.text(alphabet="ab🙂", max_size=30)
stop_lists = st.lists(st.text(alphabet="ab🙂", max_size=4), max_size=4)


def read(stops: list[str], chunks: list[str]) -> tuple[str, bool]:
    """Return what a client sees, and whether a stop string was hit."""
    finder, seen, hit = StopStrings(stops), "", False
    for chunk in chunks:
        safe, now = finder.feed(chunk)
        assert not (hit and safe), "text came after the end"
        seen, hit = seen + safe, hit or now
        if hit:
            assert finder.feed("more") == ("", True)
    return seen + finder.finish(), hit


def first_stop(stops: list[str], text: str) -> int | None:
    """Return where the stop string begins that is complete first, by looking at every end."""
    for end in range(1, len(text) + 1):
        starts = [end - len(stop) for stop in stops if stop and text[:end].endswith(stop)]
        if starts:
            return min(starts)
    return None


@given(stop_lists, letters, places())
def test_the_text_ends_before_the_first_complete_stop_string_in_any_split(
    stops: list[str], text: str, at: list[int]
) -> None:
    start = first_stop(stops, text)
    expected = (text, False) if start is None else (text[:start], True)
    assert read(stops, cut(text, at)) == expected
    assert read(stops, list(text)) == expected


@given(stop_lists, letters)
def test_no_more_is_held_back_than_may_become_a_stop_string(stops: list[str], text: str) -> None:
    finder, shown = StopStrings(stops), ""
    for at, char in enumerate(text):
        safe, hit = finder.feed(char)
        shown += safe
        if hit:
            return
        held = text[len(shown) : at + 1]
        assert held == "" or any(stop.startswith(held) for stop in stops)


def test_without_stop_strings_everything_passes_at_once() -> None:
    assert StopStrings(()).feed("any") == ("any", False)
    assert StopStrings(("",)).feed("any") == ("any", False)
