"""Read durations and sizes as people write them."""

import json
import math
import re

_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE_UNITS = {
    "": 1, "B": 1,
    "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40,
}  # fmt: skip
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")
_SIZE = re.compile(r"(\d{1,30}(?:\.\d{1,30})?)\s*([KMGT]?I?B|)", re.IGNORECASE)

NEVER = math.inf


def parse_duration(value: object) -> float:
    """Return seconds for `30`, `"30"`, `"90s"`, `"1h30m"`; `NEVER` for a negative number or "never".

    This is also what `keep_alive` means in every request body (0 = unload when the last request ends).
    Raises ValueError with a sentence that says what was expected.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(_duration_hint(value))
    if isinstance(value, str):
        text = value.strip().lower()
        if text == "never":
            return NEVER
        if not _NUMBER.fullmatch(text):
            return _sum_of_parts(text, value)
        value = float(text)
    try:
        seconds = float(value)
    except OverflowError:  # an int beyond 1e308
        raise ValueError(_duration_hint(value)) from None
    if math.isnan(seconds):
        raise ValueError(_duration_hint(value))
    return NEVER if seconds < 0 else seconds


def _sum_of_parts(text: str, value: object) -> float:
    negative = text.startswith("-")
    parts = _DURATION_PART.findall(text.removeprefix("-"))
    if not parts or "".join(number + unit for number, unit in parts) != text.removeprefix("-"):
        raise ValueError(_duration_hint(value))
    if negative:
        return NEVER
    return sum(float(number) * _DURATION_UNITS[unit] for number, unit in parts)


def _duration_hint(value: object) -> str:
    return (
        f'expected a duration such as 30, "90s", "10m", "1h30m" or -1 (never), got {quote(value)}'
    )


def parse_size(value: object) -> int:
    """Return bytes for `1024`, `"2GB"`, `"512MiB"`.

    Raises ValueError with a sentence that says what was expected.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f'expected a size such as 1048576, "512MB" or "2GiB", got {quote(value)}')
    unit = _SIZE_UNITS[match[2].upper()]
    return int(match[1]) * unit if match[1].isdecimal() else int(float(match[1]) * unit)


def format_duration(seconds: float) -> str:
    """Write seconds the way `parse_duration` reads them, at most two units: `1h30m`, `250ms`, `never`."""
    if math.isinf(seconds):
        return "never"
    if 0 < seconds < 0.9995:
        return f"{max(1, round(seconds * 1000))}ms"
    whole = round(seconds)
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, whole = divmod(whole, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts[:2]) or "0s"


def format_size(size: int) -> str:
    """Write bytes in decimal units with one digit: `1.4 GB`."""
    value = float(size)
    for unit in ("B", "KB", "MB", "GB"):
        if abs(value) < (1000 if unit == "B" else 999.95):
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def quote(value: object) -> str:
    """Write a value a person gave, for an error: in double quotes if it is text, and cut if it is long."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = type(value).__name__
    return text if len(text) <= 80 else text[:77] + "..."
