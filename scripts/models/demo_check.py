"""Examine a trained demo model: greedy replies, scored subject by subject."""

import importlib
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import mlx.core as mx
from tokenizers import Tokenizer

from models.demo_exam import Question, questions
from models.demo_rows import Renderer

_TOGETHER: Final = 32


class Speaker:
    """A model folder that answers greedily, with the weights as stored."""

    def __init__(self, folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        module = importlib.import_module(f"mlx_lm.models.{config['model_type']}")
        self._caches = importlib.import_module("mlx_lm.models.cache")
        self._model = module.Model(module.ModelArgs.from_dict(config))
        self._model.load_weights(str(folder / "model.safetensors"))
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._renderer = Renderer()
        self._end = config["eos_token_id"]

    def replies(self, asked: Sequence[Question]) -> Iterator[tuple[Question, str]]:
        """Answer questions, those with prompts of one length together."""
        by_length: dict[int, list[tuple[Question, list[int]]]] = {}
        for question in asked:
            prompt = self._renderer.prompt(question.dialog)
            ids = self._tokenizer.encode(prompt, add_special_tokens=False).ids
            by_length.setdefault(len(ids), []).append((question, ids))
        for group in by_length.values():
            for at in range(0, len(group), _TOGETHER):
                part = group[at : at + _TOGETHER]
                longest = max(self._room(question) for question, _ in part)
                rows = self._greedy([ids for _, ids in part], longest)
                for (question, _), row in zip(part, rows, strict=True):
                    yield question, str(self._tokenizer.decode(row, skip_special_tokens=False))

    def _room(self, question: Question) -> int:
        # A little more than the right reply needs: what goes on after that is wrong anyway.
        right = self._tokenizer.encode(question.dialog.reply, add_special_tokens=False).ids
        return len(right) + (8 if question.whole else 60)

    def _greedy(self, prompts: list[list[int]], longest: int) -> list[list[int]]:
        cache: Any = self._caches.make_prompt_cache(self._model)
        said: list[list[int]] = []
        tokens = mx.array(prompts)
        ended = mx.zeros((len(prompts),), mx.bool_)
        while len(said) < longest and not bool(ended.all().item()):
            tokens = mx.argmax(self._model(tokens, cache=cache)[:, -1], axis=-1)[:, None]
            ended = ended | (tokens[:, 0] == self._end)
            said.append(tokens[:, 0].tolist())  # type: ignore[arg-type]
        rows = [list(row) for row in zip(*said, strict=True)]
        return [row[: row.index(self._end)] if self._end in row else row for row in rows]


@dataclass(slots=True)
class Report:
    """How many questions of each subject were answered right, and which were not."""

    asked: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    wrong: list[tuple[Question, str]] = field(default_factory=list)

    def add(self, question: Question, reply: str) -> None:
        """Count one reply."""
        self.asked[question.subject] += 1
        if question.is_right(reply):
            self.right[question.subject] += 1
        else:
            self.wrong.append((question, reply))

    @property
    def share(self) -> float:
        """Give the mean over the subjects of the share of right replies."""
        shares = [self.right[subject] / count for subject, count in self.asked.items()]
        return sum(shares) / len(shares)


def examine(folder: Path) -> Report:
    """Ask the model every question of the exam."""
    speaker, report = Speaker(folder), Report()
    for question, reply in speaker.replies(list(questions())):
        report.add(question, reply)
    return report


def show(folder: Path, errors: int = 4) -> Report:
    """Examine a model folder and print its scores, with a few wrong replies of each subject."""
    began = time.monotonic()
    report = examine(folder)
    shown: Counter[str] = Counter()
    for subject, count in report.asked.items():
        print(f"{subject:18} {report.right[subject]:4} of {count}")
    for question, reply in report.wrong:
        shown[question.subject] += 1
        if shown[question.subject] <= errors:
            said = question.dialog.messages[-1]["content"]
            print(
                f"  {question.subject}: {said!r}\n    wanted {question.dialog.reply!r}\n    said   {reply!r}"
            )
    print(f"mean {report.share:.1%} in {time.monotonic() - began:.0f} s")
    return report
