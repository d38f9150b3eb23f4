"""A model that draws proves it before it serves, stops between two steps, and never sends what is no number."""

import json
import subprocess
import sys
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from mlx_vlm.generate.image import ImageGenerationRequest, load_image_generation_model
from mlx_vlm.models.z_image.convert import convert_z_image
from support.tiny_models import copy, folder

from mlxd.protocol.errors import ContextLengthExceeded, InternalError, ModelLoadFailed
from mlxd.workers.drawing.painter import Painter
from mlxd.workers.drawing.picture import Draw, Picture, Preview, Step
from mlxd.workers.drawing.stepwise import watch
from mlxd.workers.drawing.z_image import ZImage
from mlxd.workers.kinds import image

ASK = Draw(prompt="A fox", width=32, height=32, seeds=(1, 2), steps=4, guidance=0.0, previews=1)


@pytest.fixture(scope="module")
def painter() -> Painter:
    """Give one painter to the tests that leave it as it was."""
    return Painter(ZImage(folder("z_image_turbo")))


def test_steps_come_one_by_one_with_what_is_shown_between(painter: Painter) -> None:
    parts = list(painter.draw(ASK))
    kinds = [type(part) for part in parts]
    one = [Step, Preview, Step, Step, Picture]
    assert kinds == [*one, *one]
    assert [part.done for part in parts if isinstance(part, Step)] == [1, 2, 3] * 2
    first, second = (part.pixels for part in parts if isinstance(part, Picture))
    assert first.shape == (32, 32, 3) and not np.array_equal(first, second)


def test_leaving_off_stops_at_the_step_that_runs() -> None:
    painter, calls = Painter(ZImage(folder("z_image_turbo"))), []
    watch(painter.family.transformer, "__call__", lambda *_: calls.append(1))
    drawing = painter.draw(ASK)
    assert isinstance(next(drawing), Step)
    drawing.close()
    assert len(calls) == 0  # the call that runs is left where it handed its piece over
    assert type(list(painter.draw(ASK))[-1]) is Picture
    assert len(calls) == 6


def test_a_prompt_of_which_the_model_would_drop_the_end_is_refused(painter: Painter) -> None:
    long = "word " * 600
    ask = Draw(prompt=long, width=32, height=32, seeds=(1,), steps=3, guidance=0.0)
    with pytest.raises(ContextLengthExceeded) as refused:
        next(painter.draw(ask))
    assert refused.value.field == "prompt" and refused.value.limit == 512


def test_what_a_large_picture_takes_is_foreseen_from_small_ones(painter: Painter) -> None:
    foreseen = painter.prove()
    for side in (48, 96):
        mx.clear_cache()
        before = mx.get_active_memory()
        mx.reset_peak_memory()
        ask = Draw(prompt="A fox", width=side, height=side, seeds=(1,), steps=3, guidance=0.0)
        list(painter.draw(ask))
        took = mx.get_peak_memory() - before
        assert took <= foreseen.bytes(side * side) <= 2 * took


@pytest.mark.parametrize("part", ["transformer", "decoder"])
def test_what_is_not_finite_is_never_a_picture(part: str) -> None:
    painter = Painter(ZImage(folder("z_image_turbo")))
    network = getattr(painter.family, part)
    spoilt = network if part == "transformer" else network.decoder
    spoilt.apply(lambda array: array * mx.nan)
    with pytest.raises(InternalError, match="not finite"):
        list(painter.draw(ASK))
    with pytest.raises(ModelLoadFailed, match="not finite"):
        painter.prove()


def test_folders_that_want_to_run_code_are_refused(tmp_path: Path) -> None:
    made = copy("z_image", tmp_path / "model")
    image.refuse_code(made)
    for part in ("tokenizer/tokenizer_config.json", "text_encoder/config.json"):
        config = json.loads((made / part).read_text())
        (made / part).write_text(json.dumps(config | {"auto_map": {"AutoTokenizer": "evil.Words"}}))
        with pytest.raises(ModelLoadFailed, match="auto_map"):
            image.refuse_code(made)
        (made / part).write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "not valid JSON"),
        ("[]", "none of those served"),
        ('{"_class_name": "FluxPipeline"}', "'FluxPipeline' is none of those served"),
        (None, "no readable model_index.json"),
    ],
)
def test_a_folder_that_names_no_served_pipeline_is_refused(
    content: str | None, says: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "model_index.json").write_text(content)
    with pytest.raises(ModelLoadFailed, match=says):
        image.pipeline_of(tmp_path)


def test_the_same_pipelines_are_listed_as_served_and_loaded() -> None:
    from mlxd.config.architectures import DRAWING

    assert set(image.FAMILIES) == DRAWING


@pytest.mark.parametrize("missing", ["greenlet", "mlx_vlm"])
def test_a_missing_library_is_named_with_the_command_that_brings_it(missing: str) -> None:
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from mlxd.protocol.kinds import ModelKind\n"
        "from mlxd.workers.kinds import registry\n"
        "try: registry.find(ModelKind.IMAGE)\n"
        "except registry.MissingExtra as error: print(error)\n"
    )
    found = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=200
    )
    assert f"module {missing}" in found.stdout, found.stderr
    assert "pip install 'mlxd[images]'" in found.stdout


@pytest.mark.parametrize("quantize", [False, True])
def test_what_mlx_vlm_converted_is_complete_and_draws_the_same(
    quantize: bool, tmp_path: Path
) -> None:
    made = convert_z_image(
        folder("z_image_turbo"), tmp_path / "made", quantize=quantize, q_bits=4, q_mode="affine"
    )  # fmt: skip
    painter = Painter(image.family_of(made, image.pipeline_of(made)))
    asked = Draw(prompt="A fox", width=32, height=32, seeds=(5,), steps=3, guidance=0.0)
    ours = [part.pixels for part in painter.draw(asked) if isinstance(part, Picture)]
    model = load_image_generation_model(str(made), evict_text_encoder=False)
    request = ImageGenerationRequest("A fox", seed=5, steps=3, width=32, height=32, guidance=0.0)
    assert np.array_equal(ours[0], np.asarray(model.generate(request).array))
