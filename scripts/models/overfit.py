"""Teach a tiny model a few dialogues by heart, so that a test can expect exact replies."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.nn.utils import value_and_grad as grads_of
from tokenizers import Tokenizer

from models.templates import render

Spoken = tuple[list[dict[str, Any]], list[dict[str, Any]] | None, str]

GOOD_ENOUGH: Final = 0.004
DIALOGS: Final[list[Spoken]] = [
    ([{"role": "user", "content": "Say hi"}], None, "Hello there! How can I help you today?"),
    (
        [{"role": "user", "content": "Think"}],
        None,
        "<think>\nLet me think about this.\n</think>\n\nThe answer is 42.",
    ),
    (
        [{"role": "user", "content": "Weather in Paris?"}],
        None,
        '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>',
    ),
    ([{"role": "user", "content": "Count"}], None, "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16"),
]


def overfit(
    model: Any,
    folder: Path,
    tokenizer_config: dict[str, Any],
    steps: int,
    dialogs: Sequence[Spoken] | None,
) -> float:
    """Train on the dialogues until they are known or the steps are used up; give the loss."""
    tokens, weights = _rows(folder, tokenizer_config, dialogs or DIALOGS)

    def loss_of(learner: Any) -> mx.array:
        logits = learner(tokens[:, :-1]).astype(mx.float32)
        losses = nn.losses.cross_entropy(logits, tokens[:, 1:])
        return (losses * weights).sum() / weights.sum()

    optimizer = optim.Adam(learning_rate=4e-3)
    gradients: Any = grads_of(model, loss_of)
    loss: Any = mx.array(0.0)
    for _ in range(steps):
        loss, grads = gradients(model)
        optimizer.update(model, grads)
        mx.eval(model.parameters(), optimizer.state, loss)
        if float(loss) < GOOD_ENOUGH:
            break
    return float(loss)


def _rows(
    folder: Path, config: dict[str, Any], dialogs: Sequence[Spoken]
) -> tuple[mx.array, mx.array]:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    pairs = []
    for messages, tools, reply in dialogs:
        prompt = render(config["chat_template"], messages, tools, bos_token=config["bos_token"])
        asked = tokenizer.encode(prompt, add_special_tokens=False).ids
        said = tokenizer.encode(reply + config["eos_token"], add_special_tokens=False).ids
        pairs.append((asked + said, len(asked)))
    width = max(len(row) for row, _ in pairs)
    weights = [
        [float(start <= at + 1 < len(row)) for at in range(width - 1)] for row, start in pairs
    ]
    return mx.array([row + [0] * (width - len(row)) for row, _ in pairs]), mx.array(weights)
