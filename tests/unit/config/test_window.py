"""The window is what the folder vouches for, and never more."""

import pytest

from mlxd.config.window import context_length


@pytest.mark.parametrize(
    ("config", "tokens"),
    [
        ({"max_position_embeddings": 40960}, 40960),
        ({"n_positions": 1024}, 1024),
        ({"max_seq_len": 2048}, 2048),
        ({"max_position_embeddings": 8192.0}, 8192),
        ({}, None),
        ({"max_position_embeddings": None, "n_ctx": 512}, 512),
        ({"max_position_embeddings": 1e30}, None),
        ({"max_position_embeddings": 10**100}, None),
        ({"max_position_embeddings": True}, None),
        ({"max_position_embeddings": 0}, None),
        ({"max_position_embeddings": "4096"}, None),
        # the text part of a larger model
        ({"text_config": {"max_position_embeddings": 131072}, "max_position_embeddings": 512}, 131072),
        ({"text_config": {}, "max_position_embeddings": 512}, 512),
        ({"text_config": "x", "max_position_embeddings": 512}, 512),
        ({"thinker_config": {"text_config": {"max_position_embeddings": 32768}}}, 32768),
    ],
)  # fmt: skip
def test_the_window_a_config_states(config: dict[str, object], tokens: int | None) -> None:
    assert context_length(config) == tokens


YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}


@pytest.mark.parametrize(
    ("stated", "rope", "tokens"),
    [
        (32768, YARN, 131072),
        (131072, YARN, 131072),
        (262144, YARN, 262144),
        (32768, {"type": "yarn", "factor": 2, "original_max_position_embeddings": 32768}, 65536),
        (32768, {"rope_type": "yarn", "factor": 4.0}, 32768),
        (32768, YARN | {"factor": "4"}, 32768),
        (32768, YARN | {"factor": 1e9}, 32768),
        (131072, {"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 8192}, 131072),
        (131072, {"type": "longrope", "factor": 32.0, "original_max_position_embeddings": 4096}, 131072),
        (131072, {"rope_type": "linear", "factor": 8.0}, 131072),
        (4096, {"type": "dynamic", "factor": 4.0}, 4096),
        (4096, "yarn", 4096),
        (32768, {"full_attention": YARN, "sliding_attention": {"rope_type": "default"}}, 131072),
    ],
)  # fmt: skip
@pytest.mark.parametrize("key", ["rope_scaling", "rope_parameters"])
def test_only_scaling_that_starts_from_a_written_length_counts(
    key: str, stated: int, rope: object, tokens: int
) -> None:
    assert context_length({"max_position_embeddings": stated, key: rope}) == tokens


def test_scaling_alone_states_no_window() -> None:
    assert context_length({"rope_scaling": YARN}) is None


def test_less_than_one_token_is_no_window() -> None:
    assert context_length({"max_position_embeddings": 0.5}) is None
