"""Load a model that draws, have it draw, and serve it."""

import importlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import greenlet  # noqa: F401 - a missing one is to be told before a weight is read
import mlx_vlm.generate.image  # noqa: F401

from mlxd.protocol.errors import ModelLoadFailed
from mlxd.protocol.spec import WorkerSpec
from mlxd.workers import limits, weights
from mlxd.workers.api import pictures
from mlxd.workers.drawing import completeness
from mlxd.workers.drawing.easel import Easel
from mlxd.workers.drawing.family import Family
from mlxd.workers.drawing.painter import Painter
from mlxd.workers.jobs.one_by_one import OneByOne
from mlxd.workers.jobs.served import ServedJobs
from mlxd.workers.kinds.registry import Surroundings
from mlxd.workers.media.limits import MediaLimits

log = logging.getLogger(__name__)

FAMILIES: Mapping[str, tuple[str, str]] = {
    "ErnieImagePipeline": ("mlxd.workers.drawing.ernie_image", "ErnieImage"),
    "Flux2KleinPipeline": ("mlxd.workers.drawing.flux2", "Flux2"),
    "MOSSImagePipeline": ("mlxd.workers.drawing.moss_image", "MossImage"),
    "ZImagePipeline": ("mlxd.workers.drawing.z_image", "ZImage"),
}
"""The pipeline that model_index.json names -> the module and class of its family."""


def load(spec: WorkerSpec, around: Surroundings) -> ServedJobs:
    """Read the weights and draw two small pictures."""
    begun = time.perf_counter()
    limits.forbid_wiring()
    folder = Path(spec.path)
    pipeline = pipeline_of(folder)
    if not spec.trust_remote_code:
        refuse_code(folder)
    if spec.adapter:
        raise ModelLoadFailed(f"{folder}: adapters of models that draw are not supported")
    with weights.recorded() as files:
        family = family_of(folder, pipeline)
    size = weights.read(family.parts(), around.progress, around.leaving.is_set, files)
    painter = Painter(family)
    appetite = painter.prove()
    log.info(
        "loaded model=%s seconds=%.2f weights_bytes=%d pipeline=%s bytes_for_1024x1024=%d",
        spec.model_id, time.perf_counter() - begun, size, pipeline, appetite.bytes(1 << 20),
    )  # fmt: skip
    served = ServedJobs(
        OneByOne(lambda job: painter.draw(job.ask)),
        pictures.routes(),
        spec,
        around,
        weights_bytes=size,
    )
    served.app.state.easel = Easel(
        family, appetite, size, spec.most_drawn_pixels, MediaLimits.of(spec)
    )
    return served


def pipeline_of(folder: Path) -> str:
    """Return the name of the folder's pipeline; raises ModelLoadFailed where it names none that is served."""
    try:
        index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelLoadFailed(
            f"{folder}: no readable model_index.json ({error.strerror})"
        ) from None
    except ValueError as error:
        raise ModelLoadFailed(f"{folder}/model_index.json is not valid JSON: {error}") from None
    name = index.get("_class_name") if isinstance(index, dict) else None
    if name not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise ModelLoadFailed(f"{folder}: its pipeline {name!r} is none of those served: {known}")
    return str(name)


def refuse_code(folder: Path) -> None:
    """Raise ModelLoadFailed where the folder, or that of a part, wants to run code of its own."""
    for part in (folder, *sorted(path for path in folder.iterdir() if path.is_dir())):
        weights.refuse_auto_map(part)


def family_of(folder: Path, pipeline: str) -> Family:
    """Return the folder's model with its weights still on disk; raises ModelLoadFailed where some are missing."""
    module, name = FAMILIES[pipeline]
    make: Callable[[Path], Family] = getattr(importlib.import_module(module), name)
    try:
        with completeness.recorded() as check:
            family = make(folder)
            check(family.parts())
        return family
    except ModelLoadFailed as error:
        raise ModelLoadFailed(f"{folder}: {error.message}") from None
    except Exception as error:
        if limits.is_out_of_memory(error):
            raise
        raise ModelLoadFailed(f"{folder}: {error}") from error
