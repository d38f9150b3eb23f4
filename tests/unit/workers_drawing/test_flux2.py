"""FLUX.2 klein draws and edits as mlx-vlm does, whose own sizes are made small here: no tiny model has its layout."""

import dataclasses
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
from mlx_vlm.models.flux2 import config, constants, pipeline, weights
from mlx_vlm.models.flux2.model import Flux2ImageEditModel, Flux2ImageGenerationModel
from PIL import Image
from support.tiny_models import folder as tiny_folder

from mlxd.workers.drawing.flux2 import Flux2
from mlxd.workers.drawing.painter import Painter
from mlxd.workers.drawing.picture import Draw, Picture, Preview, Step

_TEXT = {
    "vocab_size": 600, "hidden_size": 32, "num_hidden_layers": 28, "num_attention_heads": 2, "num_key_value_heads": 1,
    "intermediate_size": 64, "head_dim": 16,
}  # fmt: skip
_TRANSFORMER: dict[str, Any] = {
    "num_layers": 1, "num_single_layers": 1, "attention_head_dim": 16, "num_attention_heads": 2,
    "joint_attention_dim": 96, "axes_dims_rope": (4, 4, 4, 4),
}  # fmt: skip
SIZE: dict[str, Any] = {"width": 32, "height": 48}


@pytest.fixture(autouse=True, params=["flux2-klein-4b", "flux2-klein-9b-kv"])
def small(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make the networks that mlx-vlm has one size of small, and let pictures be so too."""
    name = str(request.param)
    variant = dataclasses.replace(
        config.VARIANTS[name], transformer_overrides=_TRANSFORMER, text_encoder_overrides=_TEXT
    )
    monkeypatch.setitem(config.VARIANTS, name, variant)
    monkeypatch.setattr(weights, "FULL_DECODER_CHANNELS", (32, 32, 32, 32))
    monkeypatch.setattr(constants.ModelConfig, "precision", mx.float32)
    monkeypatch.setattr(pipeline, "validate_dimensions", lambda *, width, height: None)
    return name


@pytest.fixture
def made(small: str, tmp_path: Path) -> Iterator[Path]:
    """Give a folder with random weights in FLUX.2's layout."""
    folder = tmp_path / small
    shutil.copytree(tiny_folder("z_image") / "tokenizer", folder / "tokenizer")
    mx.random.seed(0)
    networks = {
        "transformer": weights.Flux2Transformer(**_TRANSFORMER),
        "text_encoder": weights.Qwen3TextEncoder(**_TEXT),
        "vae": weights.Flux2VAE((32,) * 4, include_encoder=True, encoder_block_out_channels=(32,) * 4),
    }  # fmt: skip
    for part, network in networks.items():
        (folder / part).mkdir()
        found = dict(tree_flatten(network.parameters()))
        mx.save_safetensors(str(folder / part / "model.safetensors"), found)
    yield folder


def ask(**more: Any) -> Draw:
    known: dict[str, Any] = {"prompt": "A fox", "seeds": (3,), "steps": 3, "guidance": 1.0, **SIZE}
    return Draw(**(known | more))


def drawn(painter: Painter, asked: Draw) -> Any:
    """Return the finished pictures and what was shown before."""
    parts = list(painter.draw(asked))
    assert isinstance(parts[0], Step | Preview)
    whole = [part.pixels for part in parts if isinstance(part, Picture)]
    return whole, [part.pixels for part in parts if isinstance(part, Preview)]


def test_pictures_and_edits_are_those_of_mlx_vlm(made: Path) -> None:
    painter = Painter(Flux2(made))
    model = Flux2ImageGenerationModel.from_model_id(str(made), evict_text_encoder=False)
    for guidance in (1.0, 3.0):
        request = ImageGenerationRequest("A fox", seed=3, steps=3, guidance=guidance, **SIZE)
        theirs = np.asarray(model.generate(request).array)
        (ours,), shown = drawn(painter, ask(guidance=guidance, previews=2))
        assert np.array_equal(ours, theirs)
        assert [preview.shape for preview in shown] == [(48, 32, 3)] * 2
        assert not np.array_equal(shown[0], ours)
    (other, again), _ = drawn(painter, ask(seeds=(4, 3)))
    (first,), _ = drawn(painter, ask())
    assert np.array_equal(again, first) and not np.array_equal(other, first)


def test_edits_look_at_several_pictures(made: Path, tmp_path: Path) -> None:
    painter = Painter(Flux2(made))
    editor = Flux2ImageEditModel.from_model_id(str(made), evict_text_encoder=False)
    sources = tuple(Image.new("RGB", (32, 48), colour) for colour in ("red", "blue"))
    files = [tmp_path / f"{number}.png" for number in range(2)]
    for file, source in zip(files, sources, strict=True):
        source.save(file)
    request = ImageEditRequest("A fox", tuple(files), seed=3, steps=3, guidance=1.0, **SIZE)
    theirs = np.asarray(editor.edit(request).array)
    (ours,), (shown,) = drawn(painter, ask(sources=sources, previews=1))
    assert np.array_equal(ours, theirs) and shown.shape == ours.shape
    (alone,), _ = drawn(painter, ask(sources=sources[:1]))
    assert not np.array_equal(alone, ours)


def test_prompts_that_were_read_are_not_kept_for_ever(made: Path) -> None:
    family = Flux2(made)
    painter = Painter(family)
    for number in range(4):
        drawn(painter, ask(prompt=f"Fox {number}", guidance=2.0, steps=1))
    assert {key[0] for key in family._pipeline.prompt_cache} == {"Fox 3", " "}


def test_a_folder_without_the_half_that_reads_pictures_draws_and_does_not_edit(made: Path) -> None:
    file = made / "vae" / "model.safetensors"
    loaded = mx.load(str(file))
    assert isinstance(loaded, dict)
    kept = {
        key: value for key, value in loaded.items() if not key.startswith(("encoder.", "quant"))
    }
    mx.eval(kept)
    mx.save_safetensors(str(file), kept)
    family = Flux2(made)
    assert family.most_sources == 0
    assert len(drawn(Painter(family), ask())[0]) == 1
