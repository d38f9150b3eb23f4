"""The window and the end tokens are what the model's files say, in whichever way they say it."""

from types import SimpleNamespace
from typing import Any

import pytest

from mlxd.workers.model import UNSTATED_LENGTH, context_length, eos_token_ids

UNLIMITED = SimpleNamespace(model_max_length=int(1e30))
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"max_position_embeddings": 4096}, 4096),
        ({"n_positions": 1024}, 1024),
        ({"text_config": {"max_position_embeddings": 8192}}, 8192),
        ({"max_position_embeddings": 32768, "rope_scaling": YARN}, 131072),
        ({"max_position_embeddings": 131072, "rope_scaling": YARN}, 131072),
        ({"max_position_embeddings": 2048, "rope_scaling": {"type": "linear", "factor": 2}}, 4096),
        (
            {
                "max_position_embeddings": 131072,
                "rope_scaling": {"rope_type": "llama3", "factor": 8},
            },
            131072,
        ),
        ({"max_position_embeddings": 131072, "rope_scaling": {"type": "su", "factor": 32}}, 131072),
        ({"max_position_embeddings": 512, "rope_scaling": None}, 512),
        (
            {
                "text_config": {
                    "max_position_embeddings": 100,
                    "rope_parameters": {"type": "linear", "factor": 3},
                }
            },
            300,
        ),
        ({}, UNSTATED_LENGTH),
    ],
)
def test_the_window_is_what_the_config_states(config: dict[str, Any], expected: int) -> None:
    assert context_length(config, UNLIMITED, None) == expected


def test_a_model_that_states_none_has_its_tokenizers_limit() -> None:
    assert context_length({}, SimpleNamespace(model_max_length=777), None) == 777


def test_settings_make_the_window_smaller_never_larger() -> None:
    assert context_length({"max_position_embeddings": 4096}, UNLIMITED, 1000) == 1000
    assert context_length({"max_position_embeddings": 4096}, UNLIMITED, 10**6) == 4096


def test_all_ids_that_end_an_answer_count() -> None:
    assert eos_token_ids(1, [2, 3], None, {3, 4}, True) == {1, 2, 3, 4}
