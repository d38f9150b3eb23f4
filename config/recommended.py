"""Know a few models that are worth trying, by kind and size; the list is our own, and as old as it says."""

import datetime
from pathlib import Path

import msgspec
import yaml

from mlxd.protocol.kinds import ModelKind
from mlxd.protocol.units import parse_size

FILE = Path(__file__).with_name("recommended.yaml")

_UNQUANTIZED_BITS = 16
_SCALES_BITS = 1
"""What the scales and biases of groups add to each weight of fewer bits, at the most."""
_ROUNDING = 0.03
"""By which a size that is written with two or three digits may be off."""


class Recommended(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Name one of them."""

    model: str
    kind: ModelKind
    billions: float
    """Its parameters, all of them."""
    bits: int
    """Of most weights."""
    unquantized: float = 0.0
    """Billions of the parameters that stay at 16 bits."""
    size: str
    about: str

    @property
    def weights_bytes(self) -> int:
        """About what its weights take; an estimate."""
        return parse_size(self.size)

    def implied_bytes(self) -> tuple[int, int]:
        """Return the least and the most that weights of so many parameters and bits can take."""
        rest = self.unquantized * _UNQUANTIZED_BITS
        quantized = self.billions - self.unquantized
        least, most = (quantized * bits + rest for bits in (self.bits, self.bits + _SCALES_BITS))
        return int(least * 1e9 / 8 * (1 - _ROUNDING)), int(most * 1e9 / 8 * (1 + _ROUNDING))


class RecommendedList(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hold all of them, by kind, the smallest first."""

    as_of: datetime.date
    """When somebody put it together."""
    models: list[Recommended]


def read() -> RecommendedList:
    """Return the list."""
    return msgspec.convert(yaml.safe_load(FILE.read_text(encoding="utf-8")), RecommendedList)
