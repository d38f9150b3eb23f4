"""Turn dialogues into rows of token ids, and rows into batches of about equal size."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from tokenizers import Tokenizer

from models.demo_dialogs import Dialog, dialog, drill, thought
from models.kinds import QWEN
from models.templates import CHATML, environment

LONGEST: Final = 512


@dataclass(frozen=True, slots=True)
class Row:
    """Token ids, and the positions whose next token is learned."""

    ids: list[int]
    learned: list[int]


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded rows, with the flat positions to learn and their targets."""

    tokens: list[list[int]]
    positions: list[int]
    targets: list[int]


class Renderer:
    """Apply the chat template to dialogues."""

    def __init__(self, template: str = CHATML) -> None:
        self._template = environment().from_string(template)

    def prompt(self, spoken: Dialog) -> str:
        """Render everything before the reply."""
        known: dict[str, Any] = {}
        if spoken.enable_thinking is not None:
            known["enable_thinking"] = spoken.enable_thinking
        return self._template.render(
            messages=spoken.messages, tools=spoken.tools, add_generation_prompt=True, **known
        )


def row_of(spoken: Dialog, renderer: Renderer, tokenizer: Tokenizer) -> Row:
    """Encode a dialogue; only what the assistant says is learned."""
    start, end = (tokenizer.encode(token).ids[0] for token in ("<|im_start|>", "<|im_end|>"))
    asked = tokenizer.encode(renderer.prompt(spoken), add_special_tokens=False).ids
    reply = [*tokenizer.encode(spoken.reply, add_special_tokens=False).ids, end]
    learned = list(range(len(asked) - 1, len(asked) + len(reply) - 1))
    if spoken.learn_all:
        opening = [start, *tokenizer.encode("assistant\n").ids]
        inside = False
        for at in range(len(opening), len(asked)):
            inside = inside or asked[at - len(opening) : at] == opening
            if inside:
                learned.append(at - 1)
                inside = asked[at] != end
    if spoken.enable_thinking is False:  # the closed thought is given, not said
        learned = [at for at in learned if at >= len(asked) - 1 or at < _last(asked, start)]
    return Row(asked + reply, sorted(set(learned)))


def _last(ids: list[int], wanted: int) -> int:
    return len(ids) - 1 - ids[::-1].index(wanted)


@dataclass(frozen=True, slots=True)
class Mix:
    """How many of the rows are drills and thoughts; the others are everyday dialogues."""

    drills: float
    thoughts: float = 0.0

    def draw(self, rng: random.Random) -> Dialog:
        """Draw one dialogue."""
        at = rng.random()
        if at < self.drills:
            return drill(rng)
        return thought(rng) if at < self.drills + self.thoughts else dialog(rng)


def rows(seed: int, tokenizer: Tokenizer, mix: Mix) -> Iterator[Row]:
    """Draw training rows without end, the same ones for the same seed and mix."""
    rng, renderer = random.Random(seed), Renderer()
    while True:
        row = row_of(mix.draw(rng), renderer, tokenizer)
        if len(row.ids) <= LONGEST:
            yield row


def batches(
    seed: int, tokenizer: Tokenizer, size: int, mix: Mix, pool: int = 1024
) -> Iterator[Batch]:
    """Group rows of like length into batches of about `size` tokens."""
    source, rng = rows(seed, tokenizer, mix), random.Random(seed)
    while True:
        drawn = sorted((next(source) for _ in range(pool)), key=lambda row: len(row.ids))
        groups: list[list[Row]] = [[]]
        for row in drawn:
            if (len(groups[-1]) + 1) * len(row.ids) > size:
                groups.append([])
            groups[-1].append(row)
        rng.shuffle(groups)
        for group in groups:
            if group:
                yield _batch(group)


def _batch(group: list[Row]) -> Batch:
    width = -(-max(len(row.ids) for row in group) // 8) * 8
    positions, targets = [], []
    for number, row in enumerate(group):
        positions += [number * width + at for at in row.learned]
        targets += [row.ids[at + 1] for at in row.learned]
    return Batch([row.ids + [0] * (width - len(row.ids)) for row in group], positions, targets)


def corpus(seed: int, count: int = 6000) -> Iterator[str]:
    """Draw the text from which the tokenizer is learned, without special tokens."""
    rng, renderer = random.Random(seed), Renderer()
    for _ in range(count):
        spoken = dialog(rng)
        text = renderer.prompt(spoken) + spoken.reply
        for token in (*QWEN.special, *QWEN.added):
            text = text.replace(token, "\x00")
        yield from text.split("\x00")
