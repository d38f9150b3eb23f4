"""Cut texts into chunks in every way."""

from itertools import pairwise

from hypothesis import strategies as st


def cut(text: str, places: list[int]) -> list[str]:
    """Return the text in chunks that end at these places."""
    edges = sorted({0, len(text), *(place for place in places if 0 < place < len(text))})
    return [text[start:end] for start, end in pairwise(edges)]


def places() -> st.SearchStrategy[list[int]]:
    """Give places to cut at."""
    return st.lists(st.integers(min_value=1, max_value=200), max_size=40)
