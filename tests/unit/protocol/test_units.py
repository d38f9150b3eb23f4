"""Durations and sizes mean what people mean by them."""

import math

import pytest

from mlxd.protocol.units import (
    NEVER,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
    quote,
)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (0, 0.0), (30, 30.0), (2.5, 2.5), ("30", 30.0), (" 30 ", 30.0), ("+3", 3.0), ("90s", 90.0), ("10m", 600.0),
        ("1h30m", 5400.0), ("1.5h", 5400.0), ("250ms", 0.25), ("1d", 86400.0), ("10M", 600.0),
        (-1, NEVER), ("-1", NEVER), ("-5m", NEVER), ("never", NEVER), ("Never", NEVER), (math.inf, NEVER),
    ],
)  # fmt: skip
def test_a_duration_is_read_as_people_write_it(written: object, seconds: float) -> None:
    assert parse_duration(written) == seconds


@pytest.mark.parametrize(
    "written",
    [
        "", " ", "banana", "10 minutes", "10x", "m", "1h 30m", "--5m", "1e5", "inf", "nan", ".5s", "1h30", None, True,
        [], {}, math.nan, 10**400,
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_what_was_expected(written: object) -> None:
    with pytest.raises(ValueError, match='^expected a duration such as 30, "90s", "10m"'):
        parse_duration(written)


def test_the_refusal_shows_what_was_written() -> None:
    with pytest.raises(ValueError, match=r'got "banana"$'):
        parse_duration("banana")


@pytest.mark.parametrize(
    ("written", "size"),
    [
        (0, 0), (1024, 1024), ("1024", 1024), ("0", 0), ("1B", 1), ("2GB", 2 * 10**9), ("2 gb", 2 * 10**9),
        ("512MiB", 512 * 2**20), ("1.5KB", 1500), ("1KiB", 1024), ("3TB", 3 * 10**12), ("1TiB", 2**40),
        ("9007199254740993", 9007199254740993),
    ],
)  # fmt: skip
def test_a_size_is_read_as_people_write_it(written: object, size: int) -> None:
    assert parse_size(written) == size


@pytest.mark.parametrize(
    "written",
    ["", "GB", "-1", -1, "1.GB", "1 G B", "1PB", "1e9", 1.5, None, True, [], "9" * 400 + "TB"],
)
def test_any_other_size_is_refused_with_what_was_expected(written: object) -> None:
    with pytest.raises(ValueError, match='^expected a size such as 1048576, "512MB"'):
        parse_size(written)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"), (0.0001, "1ms"), (0.25, "250ms"), (0.9996, "1s"), (59.6, "1m"), (90, "1m30s"), (3600, "1h"),
        (5400, "1h30m"), (86400 * 2 + 5, "2d5s"), (90061, "1d1h"), (NEVER, "never"),
    ],
)  # fmt: skip
def test_a_duration_is_written_with_at_most_two_units(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"), (999, "999 B"), (1000, "1.0 KB"), (999_949, "999.9 KB"), (999_950, "1.0 MB"),
        (1_400_000_000, "1.4 GB"),         (-1500, "-1.5 KB"), (2 * 10**15, "2000.0 TB"),
    ],
)  # fmt: skip
def test_a_size_is_written_with_one_digit(size: int, text: str) -> None:
    assert format_size(size) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("é", '"é"'),
        (True, "true"),
        (None, "null"),
        (object(), "object"),
        ("x" * 99, '"' + "x" * 76 + "..."),
    ],
)
def test_a_value_is_quoted_shortly(value: object, text: str) -> None:
    assert quote(value) == text
