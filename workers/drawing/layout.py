"""Know what stands in the folder of a model that draws, and what of it a pipeline of mlx-vlm holds."""

from pathlib import Path
from typing import Any

import mlx.core as mx


def parts(pipeline: Any) -> dict[str, Any]:
    """Return all of a pipeline that has weights, by the names of their folders."""
    return {
        "text_encoder": pipeline.text_encoder,
        "transformer": pipeline.transformer,
        "vae": pipeline.vae,
    }


def has_encoder(folder: Path) -> bool:
    """Tell whether the folder has what turns pictures into latents; a conversion may have left it out."""
    for file in folder.glob("vae/*.safetensors"):
        if file.name.startswith("._"):  # what macOS writes beside each file on a disk of exFAT
            continue
        found = mx.load(str(file))
        assert isinstance(found, dict)
        if any(key.startswith("encoder.") for key in found):
            return True
    return False
