"""ERNIE-Image draws and edits as mlx-vlm does, whose decoder of one size is made small here."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten
from mlx_vlm.generate.edit_image import ImageEditRequest
from mlx_vlm.generate.image import ImageGenerationRequest
from mlx_vlm.models.ernie_image import weights
from mlx_vlm.models.ernie_image.config import ErnieImageTransformerConfig
from mlx_vlm.models.ernie_image.model import ErnieImageEditModel, ErnieImageGenerationModel
from mlx_vlm.models.ernie_image.text_encoder import ErnieImageTextConfig, ErnieImageTextEncoder
from mlx_vlm.models.ernie_image.transformer import ErnieImageTransformer
from mlx_vlm.models.flux2.vae import Flux2VAE
from PIL import Image
from support.tiny_models import folder as tiny_folder

from mlxd.workers.drawing.ernie_image import ErnieImage
from mlxd.workers.drawing.painter import Painter
from mlxd.workers.drawing.picture import Draw, Picture, Preview, Step

_TEXT: dict[str, Any] = {
    "vocab_size": 600, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
    "intermediate_size": 64, "head_dim": 16, "max_position_embeddings": 4096,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e6},
}  # fmt: skip
_TRANSFORMER: dict[str, Any] = {
    "hidden_size": 32, "ffn_hidden_size": 64, "num_layers": 2, "num_attention_heads": 2, "rope_axes_dim": (4, 6, 6),
    "text_in_dim": 32,
}  # fmt: skip
SIZE: dict[str, Any] = {"width": 32, "height": 48}
CASES: list[dict[str, Any]] = [{"guidance": 1.0}, {"guidance": 3.0, "negative_prompt": "blue"}]


def small_decoder(*, include_encoder: bool, **_: Any) -> Flux2VAE:
    """Return a decoder of FLUX.2's shape in small."""
    channels = (32, 32, 32, 32)
    return Flux2VAE(
        channels, include_encoder=include_encoder, encoder_block_out_channels=channels
    )  # fmt: skip


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a folder with random weights in ERNIE-Image's layout."""
    monkeypatch.setattr(weights, "Flux2VAE", small_decoder)
    folder = tmp_path / "ernie-image-turbo"
    shutil.copytree(tiny_folder("z_image") / "tokenizer", folder / "tokenizer")
    for part, config in (("transformer", _TRANSFORMER), ("text_encoder", _TEXT), ("vae", {})):
        (folder / part).mkdir()
        (folder / part / "config.json").write_text(json.dumps(config))
    (folder / "model_index.json").write_text('{"_class_name": "ErnieImagePipeline"}')
    mx.random.seed(0)
    networks = {
        "transformer": ErnieImageTransformer(ErnieImageTransformerConfig.from_dict(_TRANSFORMER)),
        "text_encoder": ErnieImageTextEncoder(ErnieImageTextConfig.from_dict(_TEXT)),
        "vae": small_decoder(include_encoder=True),
    }
    for part, network in networks.items():
        found = dict(tree_flatten(network.parameters()))
        mx.save_safetensors(
            str(folder / part / "model.safetensors"), found, metadata={"format": "mlx"}
        )
    yield folder


def drawn(painter: Painter, **more: Any) -> Any:
    """Return the finished picture, what was shown before, and how many steps there were."""
    known: dict[str, Any] = {"prompt": "A fox", "seeds": (3,), "steps": 4, **SIZE}
    parts = list(painter.draw(Draw(**(known | more))))
    (whole,) = (part.pixels for part in parts if isinstance(part, Picture))
    shown = [part.pixels for part in parts if isinstance(part, Preview)]
    steps = [part for part in parts if isinstance(part, Step)]
    assert [step.done for step in steps] == list(range(1, steps[0].steps + 1))
    return whole, shown, len(steps)


@pytest.mark.parametrize("case", CASES)
def test_pictures_are_those_of_mlx_vlm(case: dict[str, Any], made: Path) -> None:
    model = ErnieImageGenerationModel.from_model_id(str(made), evict_text_encoder=False)
    extra = {"negative_prompt": case.get("negative_prompt", "")}
    request = ImageGenerationRequest(
        "A fox", seed=3, steps=4, guidance=case["guidance"], extra=extra, **SIZE
    )
    theirs = np.asarray(model.generate(request).array)
    ours, (shown,), steps = drawn(Painter(ErnieImage(made)), previews=1, **case)
    assert np.array_equal(ours, theirs) and steps == 4
    assert shown.shape == ours.shape and not np.array_equal(shown, ours)


@pytest.mark.parametrize("case", CASES)
def test_edits_are_those_of_mlx_vlm(case: dict[str, Any], made: Path, tmp_path: Path) -> None:
    source = Image.new("RGB", (32, 48), "red")
    source.save(tmp_path / "source.png")
    editor = ErnieImageEditModel.from_model_id(str(made), evict_text_encoder=False)
    extra = {"negative_prompt": case.get("negative_prompt", ""), "strength": 0.5}
    request = ImageEditRequest(
        "A fox", (tmp_path / "source.png",), seed=3, steps=4, guidance=case["guidance"], extra=extra, **SIZE
    )  # fmt: skip
    theirs = np.asarray(editor.edit(request).array)
    ours, _, steps = drawn(Painter(ErnieImage(made)), sources=(source,), strength=0.5, **case)
    assert np.array_equal(ours, theirs) and steps == 2


def test_edits_have_the_guidance_that_the_family_wants_for_them(made: Path) -> None:
    family = ErnieImage(made)
    assert (family.default_steps, family.default_guidance, family.editing_guidance) == (8, 1.0, 3.0)
    assert family.tokens("fox " * 5000) > family.longest_prompt
