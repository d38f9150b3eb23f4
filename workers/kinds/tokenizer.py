"""Serve a model's tokenizer without its model, for whoever only counts tokens."""

from pathlib import Path

import msgspec
from starlette.applications import Starlette

from mlxd.protocol.errors import MlxdError
from mlxd.protocol.kinds import ModelKind
from mlxd.protocol.spec import WorkerSpec
from mlxd.workers import tokenizer, weights
from mlxd.workers.api import app
from mlxd.workers.chat.template import PromptWriter
from mlxd.workers.engine.inbox import Inbox, Leave
from mlxd.workers.kinds.registry import Surroundings
from mlxd.workers.model import context_length


class Counter:
    """Own a tokenizer; nothing here is ever on the GPU."""

    weights_bytes = 0

    def __init__(self, app: Starlette, context_length: int, inbox: Inbox) -> None:
        self.app = app
        self.context_length = context_length
        self._inbox = inbox

    def run(self) -> Leave:
        """Wait until the inbox says to leave."""
        while True:
            for message in self._inbox.wait():
                if isinstance(message, Leave):
                    return message

    def close(self, error: MlxdError) -> None:
        """Have nothing to fail: a count is over as soon as it has begun."""

    def free(self) -> None:
        """Have nothing to drop but what ends with the process."""


def load(spec: WorkerSpec, around: Surroundings) -> Counter:
    """Read the tokenizer and nothing else."""
    folder = Path(spec.path)
    config = weights.refuse_code(folder, trusted=spec.trust_remote_code)
    eyes = None
    if spec.kind is ModelKind.VISION:
        from mlxd.workers.kinds import vision  # only these need mlx-vlm

        eyes = vision.counting_eyes(folder, spec)
        template = spec.chat_template or vision.chat_template(folder)
        spec = msgspec.structs.replace(spec, chat_template=template)
    words = tokenizer.load(spec)
    window = context_length(config, words, spec.context_length)
    writer = PromptWriter(words, eyes, spec.system_prompt, window)
    return Counter(app.build_counting(writer), window, around.inbox)
