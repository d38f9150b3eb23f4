"""Load an encoder with mlx-vlm, whose vectors are the right ones, and compute vectors of padded rows.

The one file that knows mlx-vlm's encoders from the inside; tests/integration/test_embedding_vectors.py holds each of
them to vectors that torch made.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import mlx.core as mx
import numpy as np
from mlx_vlm.embedding_loader import EMBEDDING_MODEL_REMAPPING
from mlx_vlm.encoder_loader import load_encoder_model
from numpy.typing import NDArray

from mlxd.protocol.errors import InternalError, ModelLoadFailed
from mlxd.workers import limits
from mlxd.workers.embedding.corrections import correct
from mlxd.workers.embedding.rows import Row, pad

POOLINGS: Final = frozenset({"cls", "mean", "max", "lasttoken"})
_ALSO: Final = {"roberta": "xlm_roberta"}
"""Types that another type's file loads: the same network under another name."""


class Encoder:
    """Own an encoder's weights; belongs to the main thread."""

    def __init__(self, model: Any, pad_id: int) -> None:
        self.model = model
        self._pad_id = pad_id

    def vectors(self, rows: Sequence[Row]) -> list[NDArray[np.float32]]:
        """Return a vector of length one for each row; raises InternalError where one is not finite."""
        found = pad(rows, self._pad_id)
        output = self.model(mx.array(found.ids), attention_mask=mx.array(found.mask))
        vectors = np.array(output.text_embeds.astype(mx.float32))
        if not np.isfinite(vectors).all():
            raise InternalError("the model's output is not finite")
        return list(vectors)


def load(folder: Path, config: Mapping[str, Any], pooling: Mapping[str, Any] | None) -> Any:
    """Return the encoder with its weights still on disk; raises ModelLoadFailed."""
    check_pooling(folder, pooling)
    names = {**EMBEDDING_MODEL_REMAPPING, **_ALSO}
    try:
        model = load_encoder_model(
            folder, model_remapping=names, config=as_written_before(config), lazy=True
        )
    except Exception as error:
        if limits.is_out_of_memory(error):
            raise
        raise ModelLoadFailed(f"{folder}: {error}") from error
    model.pooling_config = None if pooling is None else dict(pooling)
    correct(model, config)
    return model


def check_pooling(folder: Path, pooling: Mapping[str, Any] | None) -> None:
    """Raise ModelLoadFailed for a way of pooling that is not known, before anything is computed with it."""
    if pooling is None:
        return
    active = [
        name.removeprefix("pooling_mode_").removesuffix("_token").removesuffix("_tokens")
        for name, on in pooling.items()
        if name.startswith("pooling_mode_") and on is True
    ]
    named = pooling.get("pooling_mode")
    wanted = [named] if isinstance(named, str) else active or ["mean"]
    if len(wanted) > 1 or wanted[0] not in POOLINGS or pooling.get("include_prompt", True) is False:
        how = "+".join(wanted) + ("" if pooling.get("include_prompt", True) else " without prompt")
        raise ModelLoadFailed(f"{folder}: pooling by {how} is not known")


def as_written_before(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return config.json with rotary settings where every reader finds them; transformers 5 moved them."""
    moved = config.get("rope_parameters")
    if not isinstance(moved, dict):
        return dict(config)
    whole = moved.get("full_attention", moved)
    local = moved.get("sliding_attention", {})
    found = {"rope_theta": whole.get("rope_theta"), "rope_local_base_freq": local.get("rope_theta")}
    if config.get("model_type") == "modernbert":
        found = {
            "global_rope_theta": whole.get("rope_theta"),
            "local_rope_theta": local.get("rope_theta"),
        }
    return {**{name: value for name, value in found.items() if value is not None}, **config}
