"""Say what is sampled with: a request's own values, else the model's entry, else what changes nothing."""

from mlxd.protocol.generation import SamplingDefaults
from mlxd.workers.engine.request import Sampling

_SEED_MASK = 2**63 - 1


def sampling(
    defaults: SamplingDefaults,
    *,
    temperature: float | None = None,
    top_p: float | None = None,
    top_k: int | None = None,
    min_p: float | None = None,
    repetition_penalty: float | None = None,
    presence_penalty: float | None = None,
    frequency_penalty: float | None = None,
    seed: int | None = None,
) -> Sampling:
    """Return one request's sampling; None is "not given", and a value that switches something off is a value."""
    seed = defaults.seed if seed is None else seed
    return Sampling(
        temperature=_first(temperature, defaults.temperature, 1.0),
        top_p=_first(top_p, defaults.top_p, 1.0),
        top_k=max(0, int(_first(top_k, defaults.top_k, 0))),
        min_p=_first(min_p, defaults.min_p, 0.0),
        repetition_penalty=_first(repetition_penalty, defaults.repetition_penalty, 1.0),
        presence_penalty=_first(presence_penalty, defaults.presence_penalty, 0.0),
        frequency_penalty=_first(frequency_penalty, defaults.frequency_penalty, 0.0),
        seed=None if seed is None else seed & _SEED_MASK,
    )


def _first(asked: float | None, default: float | None, neutral: float) -> float:
    if asked is not None:
        return asked
    return neutral if default is None else default
