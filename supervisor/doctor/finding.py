"""Hold what a check says."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How bad it is; `skip` = it could not be looked at here."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True)
class Finding:
    """One check's result, and what to do about it."""

    verdict: Verdict
    says: str
    advice: str = ""


def ok(says: str) -> Finding:
    """All is well."""
    return Finding(Verdict.OK, says)


def warn(says: str, advice: str) -> Finding:
    """It works, but not as well as it could, or not for everything."""
    return Finding(Verdict.WARN, says, advice)


def fail(says: str, advice: str) -> Finding:
    """Something a user would ask for does not work."""
    return Finding(Verdict.FAIL, says, advice)


def skip(says: str) -> Finding:
    """It could not be looked at."""
    return Finding(Verdict.SKIP, says)
