"""Say what the prompt cache did so far."""

import msgspec


class DiskStats(msgspec.Struct, frozen=True, kw_only=True):
    """Count what the disk tier holds and did."""

    entries: int
    bytes: int
    limit: int
    written: int
    read: int
    evicted: int
    quarantined: int
    """Files set aside because they were damaged or foreign."""
    failed: int
    """Writes that the disk refused."""


class CacheStats(msgspec.Struct, frozen=True, kw_only=True):
    """Count what the prompt cache holds and did."""

    entries: int
    bytes: int
    """Everything held in memory: entries, what waits to be written and what is being read."""
    limit: int
    hits: int
    misses: int
    hit_tokens: int
    stored: int
    evicted: int
    refused: int
    """States that could not be kept: of a kind not known here, not of the tokens given, or larger than the limit."""
    dropped: int
    """States evicted before they could be written to disk."""
    disk: DiskStats | None = None
