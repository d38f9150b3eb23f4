"""Own a model that draws: check what it is asked for, draw step by step, and know what that takes."""

import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten

from mlxd.protocol.errors import ContextLengthExceeded, InternalError, ModelLoadFailed
from mlxd.workers.drawing import appetite
from mlxd.workers.drawing.appetite import Appetite
from mlxd.workers.drawing.family import Family
from mlxd.workers.drawing.picture import Draw, Part, Picture, Pixels, Preview, Step
from mlxd.workers.drawing.stepwise import hand_over, pieces, watch

_TRIAL = "One."
_TRIAL_STEPS = 3


@dataclass(frozen=True, slots=True)
class _Forward:
    """One call of the transformer, with what came of it."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    prediction: Any


class Painter:
    """Draw on the main thread; from other threads only what was settled when it was made may be read."""

    def __init__(self, family: Family) -> None:
        self.family = family
        watch(family.transformer, "__call__", _after_forward)
        watch(family.decoder, family.decoding, lambda args, kwargs, result: _check(result))

    def draw(self, ask: Draw) -> Generator[Part]:
        """Yield steps, unfinished pictures and finished ones; leaving off early stops at the step that runs."""
        tokens = self._tokens(ask)
        with ExitStack() as stack:
            files = _files(ask.sources, stack)
            for number, seed in enumerate(ask.seeds):
                pixels = yield from self._picture(ask, number, seed, files)
                yield Picture(number, seed, pixels, tokens)

    def prove(self) -> Appetite:
        """Draw two small pictures and return what larger ones will take; raises ModelLoadFailed where none comes."""
        side = max(self.family.least_side, 2 * self.family.multiple)
        try:
            small, large = self._peaks(side), self._peaks(2 * side)
        except InternalError as error:
            raise ModelLoadFailed(error.message) from None
        return appetite.fit(side**2, small, 4 * side**2, large)

    def _tokens(self, ask: Draw) -> int:
        """Count the prompt's tokens; raises ContextLengthExceeded where the model would drop some."""
        tokens, longest = self.family.tokens(ask.prompt), self.family.longest_prompt
        if tokens > longest:
            raise ContextLengthExceeded(tokens, longest, field="prompt")
        if ask.negative_prompt is not None:
            other = self.family.tokens(ask.negative_prompt)
            if other > longest:
                raise ContextLengthExceeded(other, longest, field="negative_prompt")
        return tokens

    def _picture(
        self, ask: Draw, number: int, seed: int, files: Sequence[Path]
    ) -> Generator[Part, None, Pixels]:
        steps, calls = self.family.steps(ask), self.family.calls(ask)
        shown = preview_steps(ask.previews, steps)
        drawing = pieces(self._call(ask, seed, files))
        made = 0
        try:
            while True:
                forward: _Forward = next(drawing)
                begun, again = divmod(made, calls)
                made += 1
                if again == 0 and begun + 1 in shown:
                    pixels = self._preview(ask, forward)
                    yield Preview(number, shown.index(begun + 1), pixels)
                yield Step(number, made // calls, steps)
        except StopIteration as over:
            return _pixels(over.value)
        finally:
            drawing.close()

    def _call(self, ask: Draw, seed: int, files: Sequence[Path]) -> Callable[[], mx.array]:
        if files:
            return lambda: self.family.edit(ask, seed, files)
        return lambda: self.family.draw(ask, seed)

    def _preview(self, ask: Draw, forward: _Forward) -> Pixels:
        found = self.family.preview(ask, forward.args, forward.kwargs, forward.prediction)
        return _pixels(found)

    def _peaks(self, side: int) -> list[int]:
        """Return the bytes that each phase of a picture took: reading the prompt, a step, making pixels."""
        ask = Draw(
            prompt=_TRIAL, width=side, height=side, seeds=(0,), steps=_TRIAL_STEPS,
            guidance=min(self.family.default_guidance, self.family.most_guidance),
        )  # fmt: skip
        found: list[int] = []
        before = mx.get_active_memory()
        mx.reset_peak_memory()
        for _ in pieces(self._call(ask, 0, ())):
            found.append(mx.get_peak_memory() - before)
            mx.reset_peak_memory()
        last = mx.get_peak_memory() - before
        if not found:
            raise ModelLoadFailed("the model draws without its transformer")
        return [found[0], max(found[1:], default=0), last]


def preview_steps(previews: int, steps: int) -> list[int]:
    """Return after which steps, counted from 1, unfinished pictures are shown: evenly spread, never the last."""
    wanted = (round(steps * (number + 1) / (previews + 1)) for number in range(previews))
    return sorted({step for step in wanted if 0 < step < steps})


def _after_forward(args: tuple[Any, ...], kwargs: dict[str, Any], prediction: Any) -> None:
    _check(prediction)
    hand_over(_Forward(args, kwargs, prediction))


def _check(result: Any) -> None:
    """Compute a result; raises InternalError where it is not all numbers."""
    leaves = cast(list[tuple[str, object]], tree_flatten([result]))
    arrays = [leaf for _, leaf in leaves if isinstance(leaf, mx.array)]
    finite = mx.array([True])
    for array in arrays:
        if mx.issubdtype(array.dtype, mx.floating):
            finite = mx.logical_and(finite, mx.isfinite(array).all())
    mx.eval(arrays, finite)
    if not finite.item():
        raise InternalError("the model's output is not finite")


def _pixels(array: mx.array) -> Pixels:
    found: Pixels = np.array(array)
    return found[..., :3]


def _files(sources: Sequence[Any], stack: ExitStack) -> list[Path]:
    """Write pictures down for as long as the stack is open: mlx-vlm reads them from files."""
    if not sources:
        return []
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mlxd-edit-")))
    files = []
    for number, source in enumerate(sources):
        file = folder / f"{number}.png"
        source.save(file, compress_level=1)
        files.append(file)
    return files
