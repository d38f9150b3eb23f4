"""Say what a model will take: pure arithmetic on what its folder states and on what it took before.

What is beyond the weights can be had in smaller portions: fewer rows at a time, fewer freed buffers kept. So an
estimate never makes a model too large for a budget that holds its weights.
"""

from dataclasses import dataclass

PROCESS_BYTES = 128 << 20
"""A worker without its model, until one was measured: Python, MLX, tokenizer."""
LEAST_PROCESS_BYTES = 32 << 20
"""No worker was ever seen with less."""
ALLOWED_TOKENS = 8192
"""Tokens a model is expected to hold in its cache, all requests together, until it was measured."""


@dataclass(frozen=True, slots=True)
class Size:
    """Hold what a model's folder states."""

    weights_bytes: int
    kv_bytes_per_token: int | None = None
    context_length: int | None = None
    prompt_cache_bytes: int = 0
    """What may be kept of prompts beside the rows at work."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Hold what a model took when it last ran, in bytes."""

    load_peak: int
    """The most it took until it was ready."""
    steady: int
    """What it took in the end, or where it still runs, when it was ready."""
    seconds_per_byte: float = 0.0
    """How long it loaded, by bytes of weights."""
    kv_bytes_per_token: int | None = None
    """What a token added to its cache; None where that was never told."""


def need(size: Size, cost: Cost | None, budget: int) -> int:
    """Return the bytes to have free before the model is started: more than `budget` only if it can never fit."""
    least = size.weights_bytes + LEAST_PROCESS_BYTES
    wanted = _estimate(size) if cost is None else _measured(size, cost)
    return max(least, min(wanted, budget))


def _measured(size: Size, cost: Cost) -> int:
    # It may have run on short prompts only: what it took then says nothing of the tokens to come.
    rows = _allowed_tokens(size) * (cost.kv_bytes_per_token or 0)
    return max(cost.load_peak, cost.steady, size.weights_bytes + LEAST_PROCESS_BYTES + rows)


def _allowed_tokens(size: Size) -> int:
    return min(size.context_length or ALLOWED_TOKENS, ALLOWED_TOKENS)


def _estimate(size: Size) -> int:
    rows = _allowed_tokens(size) * (size.kv_bytes_per_token or 0)
    # Prompts are kept as they come: no more than what rows take is expected of them before it was seen.
    return size.weights_bytes + rows + min(size.prompt_cache_bytes, rows) + PROCESS_BYTES
