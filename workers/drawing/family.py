"""Say what each family of models that draw can be asked for, in one form."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import mlx.core as mx

from mlxd.workers.drawing.picture import Draw


class Family(Protocol):
    """A loaded model of one family, and what it takes."""

    multiple: int
    """What width and height are multiples of."""
    least_side: int
    most_side: int
    least_steps: int
    default_steps: int
    default_guidance: float
    editing_guidance: float
    """The same where it starts from a picture."""
    most_guidance: float
    """1 where the model was distilled to do without."""
    has_negative: bool
    """Whether guidance can lead away from a prompt of the caller's."""
    most_sources: int
    """Pictures that it can start from; 0 = it edits none."""
    has_strength: bool
    longest_prompt: int
    """Tokens it reads of a prompt; the library drops the others in silence."""
    transformer: Any
    """The network that is called for each step."""
    decoder: Any
    """What makes pixels of the last step."""
    decoding: str
    """The name of the decoder's method that does."""

    def parts(self) -> dict[str, Any]:
        """Return all that has weights."""
        ...

    def tokens(self, prompt: str) -> int:
        """Count a prompt's tokens, with all that the family puts around it."""
        ...

    def steps(self, ask: Draw) -> int:
        """Return how many steps a picture really takes."""
        ...

    def calls(self, ask: Draw) -> int:
        """Return how often the transformer runs for each, with the prompt first."""
        ...

    def draw(self, ask: Draw, seed: int) -> mx.array:
        """Return a picture as numbers from 0 to 255: height, width, colours."""
        ...

    def edit(self, ask: Draw, seed: int, files: Sequence[Path]) -> mx.array:
        """Return a picture made from others, which are files."""
        ...

    def preview(
        self, ask: Draw, args: tuple[Any, ...], kwargs: dict[str, Any], prediction: Any
    ) -> mx.array:
        """Return the picture that a step's prediction leads to if followed to the end."""
        ...
