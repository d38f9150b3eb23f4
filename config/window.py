"""Read from config.json how many tokens a model's window holds; never more than the folder vouches for."""

from collections.abc import Mapping

_KEYS = (
    "max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length", "seq_length", "n_ctx",
    "max_target_positions", "model_max_length",
)  # fmt: skip
_NESTED = ("text_config", "llm_config", "language_config", "thinker_config")


def context_length(config: Mapping[str, object]) -> int | None:
    """Return the window in tokens, None where config.json does not say.

    Only YaRN's scaling is counted on top, and only where the length it starts from is written: with the other kinds
    `max_position_embeddings` already is the whole window, or nobody can tell.
    """
    for key in _NESTED:
        inner = config.get(key)
        if isinstance(inner, Mapping) and (found := context_length(inner)) is not None:
            return found
    stated = next((n for key in _KEYS if (n := _count(config.get(key))) is not None), None)
    scaled = _yarn(config)
    if stated is None or scaled is None:
        return stated
    return max(stated, scaled)


def _yarn(config: Mapping[str, object]) -> int | None:
    rope = config.get("rope_scaling") or config.get("rope_parameters")
    if isinstance(rope, Mapping) and isinstance(full := rope.get("full_attention"), Mapping):
        rope = full
    if not isinstance(rope, Mapping) or (rope.get("rope_type") or rope.get("type")) != "yarn":
        return None
    start, factor = _count(rope.get("original_max_position_embeddings")), rope.get("factor")
    if start is None or not isinstance(factor, int | float) or not 1 <= factor <= 10_000:
        return None
    return int(start * factor)


def _count(value: object) -> int | None:
    """Return a plausible number of tokens; tokenizers write 1e30 for "no limit"."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value < 2**40:
        return None
    return int(value)
