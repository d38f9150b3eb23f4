"""Know a few models that are worth trying, by kind and size."""

from pathlib import Path

import msgspec
import yaml

from mlxd.protocol.kinds import ModelKind
from mlxd.protocol.units import parse_size

FILE = Path(__file__).with_name("recommended.yaml")


class Recommended(msgspec.Struct, frozen=True, kw_only=True):
    """Name one of them."""

    model: str
    kind: ModelKind
    size: str
    about: str

    @property
    def weights_bytes(self) -> int:
        """About what its weights take."""
        return parse_size(self.size)


def read() -> list[Recommended]:
    """Return all of them, by kind, the smallest first."""
    return msgspec.convert(yaml.safe_load(FILE.read_text(encoding="utf-8")), list[Recommended])
