"""Load a model that speaks, have it say something, and serve it."""

import logging
import time
from pathlib import Path
from typing import Any

import mlx_audio.tts.utils

from mlxd.protocol.errors import ModelLoadFailed
from mlxd.protocol.spec import WorkerSpec
from mlxd.workers import limits, weights
from mlxd.workers.api import speech
from mlxd.workers.jobs.one_by_one import OneByOne
from mlxd.workers.jobs.served import ServedJobs
from mlxd.workers.kinds.registry import MissingExtra, Surroundings
from mlxd.workers.speech.speaker import Speaker

log = logging.getLogger(__name__)


def load(spec: WorkerSpec, around: Surroundings) -> ServedJobs:
    """Read the weights and speak a first word."""
    begun = time.perf_counter()
    limits.forbid_wiring()
    folder = Path(spec.path)
    config = weights.refuse_code(folder)
    with weights.recorded() as files:
        model = _model(folder)
    size = weights.read(model, around.progress, around.leaving.is_set, files)
    speaker = _speaker(model, folder, config)
    log.info(
        "loaded model=%s seconds=%.2f weights_bytes=%d voices=%d rate=%d",
        spec.model_id, time.perf_counter() - begun, size, len(speaker.voices), speaker.sample_rate,
    )  # fmt: skip
    served = ServedJobs(
        OneByOne(lambda job: speaker.speak(job.ask)),
        speech.routes(),
        spec,
        around,
        weights_bytes=size,
    )
    served.app.state.speaker = speaker
    return served


def _model(folder: Path) -> Any:
    try:
        return mlx_audio.tts.utils.load(folder, lazy=True)
    except ModuleNotFoundError:
        raise
    except Exception as error:
        if limits.is_out_of_memory(error):
            raise
        raise ModelLoadFailed(f"{folder}: {error}") from error


def _speaker(model: Any, folder: Path, config: dict[str, Any]) -> Speaker:
    try:
        speaker = Speaker(model, folder, config)
        speaker.prove()
    except ModuleNotFoundError as error:
        message = f"this model needs the module {error.name}: pip install 'mlxd[kokoro]'"
        raise MissingExtra(message) from error
    except MemoryError:
        raise
    except Exception as error:
        if limits.is_out_of_memory(error) or isinstance(error, ModelLoadFailed):
            raise
        raise ModelLoadFailed(f"{folder}: it cannot speak: {error}") from error
    return speaker
