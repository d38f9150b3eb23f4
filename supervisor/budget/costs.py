"""Remember on disk what each model took when it ran, so that the next start need not guess.

A file that cannot be read or written costs nothing but the memory: estimates take over.
"""

import logging
import os
from pathlib import Path

import msgspec

from mlxd.config.spec import ModelSpec
from mlxd.supervisor.budget.needs import Cost

_MOST = 256
"""Models remembered; the longest unused are forgotten."""
_VERSION = 1

logger = logging.getLogger("mlxd.costs")


class _File(msgspec.Struct):
    version: int
    costs: dict[str, Cost]


_decoder = msgspec.json.Decoder(_File)


def key(spec: ModelSpec) -> str:
    """Return what tells one state of a model's files, and what is put on top of them, from another."""
    revision = spec.revision or str(spec.created)
    parts = (str(spec.path), revision, str(spec.weights_bytes), str(spec.adapter or ""))
    return "|".join(parts)


class Costs:
    """Hold the costs in memory and mirror each change to a file; without a file, in memory only."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._costs = _read(file) if file else {}

    def of(self, spec: ModelSpec) -> Cost | None:
        """Return what the model took last, None where it never ran in this state."""
        return self._costs.get(key(spec))

    def learn(self, spec: ModelSpec, cost: Cost) -> None:
        """Remember what the model took; raises nothing."""
        name = key(spec)
        if self._costs.get(name) == cost:
            return
        self._costs.pop(name, None)
        self._costs[name] = cost
        while len(self._costs) > _MOST:
            del self._costs[next(iter(self._costs))]
        if self._file is not None:
            _write(self._file, self._costs)


def _read(file: Path) -> dict[str, Cost]:
    try:
        found = _decoder.decode(file.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        logger.warning("what models took before cannot be read, file=%s error=%r", file, str(error))
        return {}
    if found.version != _VERSION:
        return {}
    sane = {name: cost for name, cost in found.costs.items() if _is_sane(cost)}
    return dict(list(sane.items())[-_MOST:])


def _is_sane(cost: Cost) -> bool:
    numbers = (cost.load_peak, cost.steady, cost.seconds_per_byte, cost.kv_bytes_per_token or 0)
    return all(number >= 0 for number in numbers)


def _write(file: Path, costs: dict[str, Cost]) -> None:
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as out:
            out.write(msgspec.json.encode(_File(_VERSION, costs)))
        fresh.replace(file)
    except OSError as error:
        logger.warning("what models took cannot be kept, file=%s error=%r", file, str(error))
