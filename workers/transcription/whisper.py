"""Own a Whisper of mlx-audio: what it knows, and a way to stop it in the middle of a window."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlx.core as mx
import numpy as np
from mlx_audio.stt.models.whisper.tokenizer import LANGUAGES, TO_LANGUAGE_CODE
from mlx_audio.utils import load_weights

from mlxd.protocol.errors import ModelLoadFailed
from mlxd.workers.transcription.bundled import BundledTokenizer, build

_WINDOW = 1500
"""Frames of the encoder; what a window becomes in every Whisper."""


class Interrupted(Exception):
    """Say that nobody waits for what was being heard."""


class Whisper:
    """Hold the model and what is asked of it about itself."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.is_multilingual: bool = model.is_multilingual
        self.languages = _languages(model)
        self._stopped: Callable[[], bool] = lambda: False
        for part in (model.encoder, model.decoder):
            _make_interruptible(part, lambda: self._stopped())

    def watch(self, stopped: Callable[[], bool]) -> None:
        """Have the model raise Interrupted once `stopped` says so, within a token."""
        self._stopped = stopped

    def prove(self) -> None:
        """Hear a window of silence; raises ModelLoadFailed where that makes no numbers."""
        silence = mx.zeros((1, 2 * _WINDOW, self.model.dims.n_mels), dtype=self.model.dtype)
        heard = self.model.encoder(silence)
        start = self.model.get_tokenizer().sot
        logits = self.model.logits(mx.array([[start]]), heard)
        if not mx.isfinite(logits).all().item():
            raise ModelLoadFailed("the model's output is not finite; the weights are damaged")


def adopt(model: Any, folder: Path) -> Whisper:
    """Make a model that the library has loaded ready: its precision, and a tokenizer where its folder has none."""
    if (
        mx.default_device().type == mx.DeviceType.cpu
    ):  # half precision is several times slower there
        model.set_dtype(mx.float32)
        model.dtype = mx.float32
    if model._processor is None:
        model._processor = SimpleNamespace(tokenizer=_tokenizer(model, folder))
    _align(model, folder)
    return Whisper(model)


def _align(model: Any, folder: Path) -> None:
    """Take over what tells when words are spoken from mlx-whisper's files, where it is one of the weights."""
    stored = load_weights(folder).get("alignment_heads")
    if stored is None or (folder / "generation_config.json").exists():  # mlx-audio has read that
        return
    heads = np.array(stored)
    most = (model.dims.n_text_layer, model.dims.n_text_head)
    if heads.ndim != 2 or heads.shape[1] != 2 or not ((heads >= 0) & (heads < most)).all():
        raise ModelLoadFailed(f"{folder}: its alignment_heads are none of the model's")
    model.set_alignment_heads(heads.astype(np.int32))


def _tokenizer(model: Any, folder: Path) -> BundledTokenizer:
    from tokenizers import Tokenizer

    own = folder / "tokenizer.json"
    if own.exists():
        words = Tokenizer.from_file(str(own))
    else:
        words = build(model.dims.n_vocab, list(LANGUAGES))
    found = BundledTokenizer(words)
    last = found.convert_tokens_to_ids("<|30.00|>")
    if last != model.dims.n_vocab - 1:
        raise ModelLoadFailed(
            f"{folder}: has no tokenizer, and with {model.dims.n_vocab} tokens it is none of the known ones"
        )
    return found


def _languages(model: Any) -> dict[str, str]:
    """Return code by code and by name, for what the model knows."""
    if not model.is_multilingual:
        return {"en": "en", "english": "en"}
    codes = list(LANGUAGES)[: model.num_languages]
    known = {code: code for code in codes} | {LANGUAGES[code]: code for code in codes}
    return known | {name: code for name, code in TO_LANGUAGE_CODE.items() if code in codes}


def _make_interruptible(part: Any, stopped: Callable[[], bool]) -> None:
    """Ask before every call of the encoder (once a window) and of the decoder (once a token)."""
    kind = type(part)

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if stopped():
            raise Interrupted
        return kind.__call__(self, *args, **kwargs)

    part.__class__ = type(f"Interruptible{kind.__name__}", (kind,), {"__call__": call})
