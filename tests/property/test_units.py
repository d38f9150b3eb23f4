"""What is written is read back."""

import math

from hypothesis import given
from hypothesis import strategies as st

from mlxd.protocol.units import format_duration, format_size, parse_duration, parse_size


@given(st.floats(min_value=0, max_value=3e8))
def test_a_written_duration_reads_back_within_its_smaller_unit(seconds: float) -> None:
    back = parse_duration(format_duration(seconds))
    slack = next(
        size / 2 + 0.51
        for least, size in ((86400, 3600), (3600, 60), (0, 1))
        if seconds >= least - 1
    )
    assert abs(back - seconds) <= 2 * slack


@given(st.integers(min_value=0, max_value=59), st.integers(min_value=0, max_value=59))
def test_two_units_read_back_exactly(minutes: int, seconds: int) -> None:
    assert parse_duration(format_duration(60 * minutes + seconds)) == 60 * minutes + seconds


@given(st.integers(min_value=0, max_value=10**15))
def test_a_written_size_reads_back_within_its_last_digit(size: int) -> None:
    assert math.isclose(parse_size(format_size(size)), size, rel_tol=0.051)


@given(st.text())
def test_any_text_is_a_duration_and_a_size_or_refused(text: str) -> None:
    for parse in (parse_duration, parse_size):
        try:
            assert parse(text) >= 0
        except ValueError as error:
            assert str(error).startswith("expected a ")
            assert len(str(error)) < 200
