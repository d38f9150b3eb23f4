"""Give tests tiny models that see, on the test's own thread, and pictures to show them."""

import asyncio
import base64
import functools
import io
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
from PIL import Image
from support import tiny_models
from support.engine_rig import GREEDY

from mlxd.protocol.kinds import ModelKind
from mlxd.protocol.spec import WorkerSpec
from mlxd.workers.chat.content import Content, FilmPart, ImagePart, SoundPart
from mlxd.workers.chat.request import ChatRequest, Role, Turn
from mlxd.workers.chat.template import Prompt, PromptWriter
from mlxd.workers.engine.lane import Lane
from mlxd.workers.engine.request import GenerateRequest, Sampling
from mlxd.workers.vision.sight import Sight

FILMING = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_5", "gemma4")
"""Those that take films: all frames in one block; in one with the time in its positions; in blocks with times; in some
with linear attention; each frame by itself."""
KINDS = ("qwen2_vl", "qwen3_vl", "qwen3_5", "gemma3_vl", "smolvlm", "lfm2_vl", "gemma4")
"""Planes of positions; pictures in deep layers; linear attention; sliding windows; tiles; convolutions; layers that
share their states."""


@dataclass(frozen=True)
class Seeing:
    """Hold a model that sees as the engine and the HTTP thread know it."""

    folder: Path
    model: Any
    lane: Lane
    eyes: Sight
    writer: PromptWriter

    def prompt(self, *said: str | bytes | FilmPart | SoundPart) -> Prompt:
        """Return the prompt of one message, whose files are pictures."""
        parts = (
            ImagePart(field=f"part {at}", base64=base64.b64encode(item).decode())
            if isinstance(item, bytes)
            else item
            for at, item in enumerate(said)
        )
        content = Content.of(parts)
        turn = Turn(role=Role.USER, text=content.text, images=content.images)
        files = asyncio.run(self.eyes.pictures(content.images))
        return self.writer.render_chat(ChatRequest(turns=(turn,)), files)

    def request(
        self,
        *said: str | bytes | FilmPart | SoundPart,
        tokens: int = 12,
        sampling: Sampling = GREEDY,
    ) -> GenerateRequest:
        """Return a request to answer one message."""
        prompt = self.prompt(*said)
        return GenerateRequest(
            prompt=prompt.tokens,
            max_tokens=tokens,
            sampling=sampling,
            reading=prompt.reading,
            ends=prompt.ends,
            system=prompt.system,
        )


@functools.cache
def seeing(kind: str) -> Seeing:
    """Return a tiny model; nothing ends an answer but its length."""
    from mlxd.workers import tokenizer
    from mlxd.workers.kinds import text, vision

    mx.disable_compile()
    folder = tiny_models.folder(kind)
    spec = WorkerSpec(
        model_id=kind, kind=ModelKind.VISION, path=str(folder), socket="", max_batch=16
    )
    model = vision.build(folder, spec)
    mx.eval(model)
    language, eyes = vision.parts(model, folder, spec)
    lane = text.explore(language, spec, 4096, frozenset(), 1 << 40)
    return Seeing(folder, model, lane, eyes, PromptWriter(tokenizer.load(spec), eyes))


@functools.cache
def picture(seed: int, size: tuple[int, int] = (120, 80), kind: str = "PNG") -> bytes:
    """Return a file with a picture of coarse noise; another seed is another picture."""
    draw = random.Random(seed)
    grain = Image.frombytes("RGB", (6, 4), bytes(draw.randrange(256) for _ in range(72)))
    file = io.BytesIO()
    grain.resize(size, Image.Resampling.NEAREST).save(file, kind)
    return file.getvalue()


def uri(content: bytes, kind: str = "image/png") -> str:
    """Return a data: URI."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
