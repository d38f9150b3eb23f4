"""Load a model that hears, prove that it does, and serve it."""

import logging
import math
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlx_audio.stt.utils

from mlxd.protocol.errors import ModelLoadFailed
from mlxd.protocol.spec import WorkerSpec
from mlxd.workers import limits, weights
from mlxd.workers.api import transcriptions
from mlxd.workers.jobs.job import Job
from mlxd.workers.jobs.one_by_one import OneByOne
from mlxd.workers.jobs.served import ServedJobs
from mlxd.workers.kinds.registry import Surroundings
from mlxd.workers.sound import library
from mlxd.workers.transcription import whisper, windows
from mlxd.workers.transcription.ears import Ears
from mlxd.workers.transcription.spoken import Heard, Listen

log = logging.getLogger(__name__)


def load(spec: WorkerSpec, around: Surroundings) -> ServedJobs:
    """Read the weights and hear a window of silence."""
    begun = time.perf_counter()
    limits.forbid_wiring()
    folder = Path(spec.path)
    weights.refuse_code(folder)
    with weights.recorded() as files:
        model = _model(folder)
    library.check_complete(model, folder)
    listener = whisper.adopt(model, folder)
    size = weights.read(model, around.progress, around.leaving.is_set, files)
    listener.prove()
    log.info(
        "loaded model=%s seconds=%.2f weights_bytes=%d languages=%d",
        spec.model_id, time.perf_counter() - begun, size, len(set(listener.languages.values())),
    )  # fmt: skip

    def perform(job: Job[Listen, Heard]) -> Iterator[Heard]:
        listener.watch(lambda: job.cancelled)
        return windows.hear(listener, job.ask)

    served = ServedJobs(
        OneByOne(perform), transcriptions.routes(), spec, around, weights_bytes=size
    )
    served.app.state.ears = Ears(
        languages=listener.languages,
        translates=listener.is_multilingual,
        prompts=True,
        timed_words=True,
        longest_seconds=math.inf if spec.longest_audio is None else spec.longest_audio,
    )
    return served


def _model(folder: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of a missing tokenizer, which we bring
            # Told, for it would go by the folder's name; mlx-whisper's oldest files do not say what they are.
            return mlx_audio.stt.utils.load(
                folder, lazy=True, model_type="whisper", model_name_parts=[]
            )
    except ModuleNotFoundError:
        raise
    except Exception as error:
        if limits.is_out_of_memory(error):
            raise
        raise ModelLoadFailed(f"{folder}: {error}") from error
