"""No config.json and no cache makes the catalogue fail."""

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from support.model_folders import Hub, text_files

from mlxd.config.hub_cache import HubCache
from mlxd.config.model_folder import ModelFolder

KEY = st.sampled_from(
    [
        "model_type", "architectures", "text_config", "vision_config", "rope_scaling", "rope_parameters", "factor",
        "type", "original_max_position_embeddings", "full_attention", "max_position_embeddings", "quantization",
        "bits", "id2label", "num_labels", "model_file", "weight_map", "target",
    ]
)  # fmt: skip
VALUE: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("yarn"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEY, inner, max_size=4),
    max_leaves=10,
)
FILE = st.sampled_from(
    [
        "config.json", "model.safetensors", "model.safetensors.index.json", "model-00001-of-00002.safetensors",
        "model-00001-of-99999.safetensors", "tokenizer.json", "model_index.json", "vae/config.json", "modules.json",
    ]
)  # fmt: skip
CONTENT = st.binary(max_size=8) | VALUE.map(lambda value: json.dumps(value).encode())


def found(files: dict[str, Any], tmp: str) -> ModelFolder:
    """Return what the catalogue reads from these files in a cache."""
    hub = Hub(Path(tmp))
    hub.pull("org/name", files)
    (model,) = HubCache(hub.root).scan()
    return model.folder


@given(st.dictionaries(FILE, CONTENT, max_size=6))
def test_any_files_are_a_model_or_have_a_problem(files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as tmp:
        folder = found(files, tmp)
    if folder.problem is None:
        assert folder.weights_bytes > 0
    assert folder.context_length is None or folder.context_length > 0


@given(st.dictionaries(KEY, VALUE, max_size=5))
def test_any_config_beside_real_files_is_read(config: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as tmp:
        folder = found(text_files(**config), tmp)
    assert folder.missing is None or folder.missing.startswith("config.json cannot be read")
    assert folder.weights_bytes in (0, 100)
