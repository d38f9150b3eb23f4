"""Load a model that sees, prove that it can look at a picture and speak, and let the text engine run it."""

import io
import json
import logging
import time
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_vlm.utils
import msgspec
from PIL import Image

from mlxd.protocol.errors import MlxdError, ModelLoadFailed
from mlxd.protocol.spec import WorkerSpec
from mlxd.workers import limits, weights
from mlxd.workers.chat.content import ImagePart
from mlxd.workers.kinds import text
from mlxd.workers.kinds.registry import Surroundings
from mlxd.workers.media.limits import MediaLimits
from mlxd.workers.vision import sight
from mlxd.workers.vision.language import Language
from mlxd.workers.vision.sight import Sight
from mlxd.workers.vision.states import UnknownState

log = logging.getLogger(__name__)


def load(spec: WorkerSpec, around: Surroundings) -> text.Text:
    """Read weights, tokenizer and processor, look at a picture, generate a token, and return the model."""
    begun = time.perf_counter()
    limits.forbid_wiring()
    folder = Path(spec.path)
    config = weights.refuse_code(folder, trusted=spec.trust_remote_code)
    if not spec.trust_remote_code:
        weights.refuse_auto_map(folder)
    if spec.adapter:
        raise ModelLoadFailed(f"{spec.path}: adapters of models that see are not supported")
    if spec.kv_cache:
        raise ModelLoadFailed(f"kv_cache: {spec.path}: not supported for models that see")
    template = spec.chat_template or chat_template(folder)
    loading = text.TokenizerThread(msgspec.structs.replace(spec, chat_template=template))
    with weights.recorded() as files:
        model = build(folder, spec)
    size = weights.read(model, around.progress, around.leaving.is_set, files)
    words = loading.result()
    language, eyes = parts(model, folder, spec)
    look(eyes, language, spec)
    stops = [config.get("eos_token_id"), generation_stops(folder), inner_stops(config)]
    read = text.Loaded(language, config, stops, words, size, begun, eyes)
    return text.assembled(spec, around, read)


def build(folder: Path, spec: WorkerSpec) -> Any:
    """Return the model with its weights still on disk."""
    try:
        return mlx_vlm.utils.load_model(
            folder, lazy=True, trust_remote_code=spec.trust_remote_code
        ).eval()
    except Exception as error:
        if limits.is_out_of_memory(error):
            raise
        raise ModelLoadFailed(f"{spec.path}: {error}") from error


def parts(model: Any, folder: Path, spec: WorkerSpec) -> tuple[Language, Sight]:
    """Return the half of a model that speaks, and what it takes to show it pictures."""
    try:
        language = Language(model)
        language.make_cache()
        processor = sight.load(folder, model.config, trusted=spec.trust_remote_code)
        eyes = Sight(model.config, processor, MediaLimits.of(spec), model, language)
        return language, eyes
    except UnknownState as error:
        raise ModelLoadFailed(f"{spec.path}: {error}") from error
    except Exception as error:
        raise ModelLoadFailed(f"{spec.path}: the image processor: {error}") from error


def counting_eyes(folder: Path, spec: WorkerSpec) -> Sight:
    """Return what it takes to count the tokens of pictures, without the model."""
    if not spec.trust_remote_code:
        weights.refuse_auto_map(folder)
    try:
        config = mlx_vlm.utils.load_config(folder)
        module, _ = mlx_vlm.utils.get_model_and_args(config=config, model_path=folder)
        described = module.ModelConfig.from_dict(config)
        processor = sight.load(folder, described, trusted=spec.trust_remote_code)
        return Sight(described, processor, MediaLimits.of(spec))
    except Exception as error:
        raise ModelLoadFailed(f"{spec.path}: the image processor: {error}") from error


def look(eyes: Sight, language: Language, spec: WorkerSpec) -> None:
    """Show the model a small picture; raises ModelLoadFailed where it does not see it."""
    file = io.BytesIO()
    Image.new("RGB", (64, 48), "teal").save(file, "PNG")
    try:
        part = ImagePart(field="picture", base64="")
        tokens, reading = eyes.look(f"{eyes.marker} a", [file.getvalue()], [part])
        cache = language.make_cache()
        reading.read(list(tokens), 0, len(tokens), cache)
        shift = mx.array([reading.shift()])
        logits = language(mx.array([[tokens[-1]]]), cache=cache, shifts=shift)
        finite = bool(mx.isfinite(logits).all().item())
    except Exception as error:
        if limits.is_out_of_memory(error) or limits.is_device_error(error):
            raise
        message = error.message if isinstance(error, MlxdError) else str(error)
        raise ModelLoadFailed(f"{spec.path}: it cannot look at a picture: {message}") from error
    if not finite:
        raise ModelLoadFailed(f"{spec.path}: a picture makes its output not finite")


def chat_template(folder: Path) -> str | None:
    """Return the template that stands beside the processor, where older folders have it."""
    if (folder / "chat_template.jinja").exists():
        return None
    try:
        found = json.loads((folder / "chat_template.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    template = found.get("chat_template") if isinstance(found, dict) else None
    return template if isinstance(template, str) else None


def generation_stops(folder: Path) -> object:
    """Return what generation_config.json says ends an answer."""
    try:
        found = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found.get("eos_token_id") if isinstance(found, dict) else None


def inner_stops(config: dict[str, Any]) -> object:
    """Return what the language half's own part of config.json says ends an answer."""
    inner = config.get("text_config")
    return inner.get("eos_token_id") if isinstance(inner, dict) else None
