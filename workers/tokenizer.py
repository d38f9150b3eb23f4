"""Load a model's tokenizer with its chat template."""

from pathlib import Path
from typing import Any

import mlx_lm.utils

from mlxd.protocol.errors import ModelLoadFailed
from mlxd.protocol.spec import WorkerSpec


def load(spec: WorkerSpec) -> Any:
    """Return mlx-lm's wrapper around the tokenizer; runs code only where that is trusted. Raises ModelLoadFailed."""
    extra: dict[str, Any] = {"trust_remote_code": spec.trust_remote_code}
    if spec.chat_template is not None:
        extra["chat_template"] = spec.chat_template
    try:
        return mlx_lm.utils.load_tokenizer(Path(spec.path), extra)
    except Exception as error:
        raise ModelLoadFailed(f"{spec.path}: the tokenizer: {error}") from error
