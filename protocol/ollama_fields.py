"""Hold what Ollama's chat and generate share on the wire: the options, what is thought, the form of the answer."""

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

import msgspec

from mlxd.protocol.errors import InvalidRequest, UnsupportedField

MAX_STOPS = 64
MAX_TOP_LOGPROBS = 20

IGNORED = frozenset({"debug", "insecure", "keep_alive", "shift", "truncate"})
"""Fields that are known and change nothing in a worker; names nobody knows are ignored too.

A prompt that is too long is always refused, never cut. `keep_alive` is the supervisor's.
"""

IGNORED_OPTIONS = (
    "draft_num_predict", "embedding_only", "f16_kv", "logits_all", "low_vram", "main_gpu", "num_batch", "num_ctx",
    "num_gpu", "num_keep", "num_thread", "numa", "penalize_newline", "use_mlock", "use_mmap", "vocab_only",
)  # fmt: skip
"""Options that say how llama.cpp is to run, or that shrink a window which is whole here."""

REFUSED_OPTIONS: Mapping[str, tuple[object, ...]] = {
    "mirostat": (0,),
    "mirostat_eta": (0.1,),
    "mirostat_tau": (5, 5.0),
    "tfs_z": (0, 1),
    "typical_p": (0, 1),
}
"""Options that are known and not implemented, with the values besides null that ask for nothing."""

Probability = Annotated[float, msgspec.Meta(ge=0, le=1)]
Penalty = Annotated[float, msgspec.Meta(ge=-2, le=2)]
Think: TypeAlias = bool | Literal["low", "medium", "high", "max"]
Format: TypeAlias = str | dict[str, object]


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hold the options; null is "not given", and a name nobody knows is a mistake."""

    temperature: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = None
    top_k: int | None = None
    """0 or less: all tokens."""
    top_p: Probability | None = None
    min_p: Probability | None = None
    seed: int | None = None
    """A negative one is no seed."""
    num_predict: int | None = None
    """0 or less: as many as the window holds."""
    stop: str | list[str] | None = None
    repeat_penalty: Annotated[float, msgspec.Meta(gt=0, le=100)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    repeat_last_n: Annotated[int, msgspec.Meta(ge=-1)] | None = None
    """0 switches the penalties off; after any other number they look at all that came before."""

    mirostat: object = None
    mirostat_eta: object = None
    mirostat_tau: object = None
    tfs_z: object = None
    typical_p: object = None

    draft_num_predict: object = None
    embedding_only: object = None
    f16_kv: object = None
    logits_all: object = None
    low_vram: object = None
    main_gpu: object = None
    num_batch: object = None
    num_ctx: object = None
    num_gpu: object = None
    num_keep: object = None
    num_thread: object = None
    numa: object = None
    penalize_newline: object = None
    use_mlock: object = None
    use_mmap: object = None
    vocab_only: object = None


class SharedFields(msgspec.Struct, frozen=True, kw_only=True):
    """Hold the fields that mean the same in both bodies; null is "not given"."""

    model: str
    stream: bool | None = None
    """Streams unless it says false."""
    options: Options | None = None
    format: Format | None = None
    think: Think | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, msgspec.Meta(ge=0, le=MAX_TOP_LOGPROBS)] | None = None

    @property
    def streams(self) -> bool:
        """Say whether the answer comes line by line."""
        return self.stream is not False


def options(fields: SharedFields) -> Options:
    """Return the options; raises UnsupportedField for one that asks for what is not implemented."""
    found = fields.options or Options()
    for name, harmless in REFUSED_OPTIONS.items():
        value = getattr(found, name)
        if value is not None and value not in harmless:
            raise UnsupportedField(f"options.{name}")
    return found


def stops(given: str | list[str] | None) -> tuple[str, ...]:
    """Return the stop strings; empty ones ask for nothing."""
    texts = [given] if isinstance(given, str) else given or []
    if len(texts) > MAX_STOPS:
        field = "options.stop"
        raise InvalidRequest(
            f"{field}: expected at most {MAX_STOPS} strings, got {len(texts)}", field=field
        )
    return tuple(dict.fromkeys(text for text in texts if text))
