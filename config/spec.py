"""Describe one model that can be asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlxd.config.settings import PromptCache
from mlxd.protocol.errors import ModelLoadFailed
from mlxd.protocol.generation import KvCache, Overflow, SamplingDefaults
from mlxd.protocol.kinds import ModelKind

Origin = Literal["config", "hub", "embedded"]


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """Say what to run under a name, and how; all settings are resolved."""

    id: str
    kind: ModelKind
    path: Path
    aliases: tuple[str, ...] = ()
    """Other names, patterns included."""
    idle_timeout: float
    """Seconds, `units.NEVER` for no limit."""
    pin: bool = False
    max_batch: int
    context_length: int | None = None
    """The window the user set, else the one the folder states, else None."""
    weights_bytes: int
    """Its own, and those of the model that guesses for it."""
    draft_bytes: int = 0
    """What of them is the latter's."""
    quantization_bits: int | None = None
    kv_bytes_per_token: int | None = None
    """What a token takes in the cache, None where the folder does not say."""
    source: Origin
    hub_id: str | None = None
    revision: str | None = None
    architecture: str = ""
    created: int = 0
    """When its files came here, in Unix seconds."""
    error: str | None = None
    """Why it cannot be served now, as a sentence for the user."""
    chat_template: str | None = None
    """Text of a template that replaces the folder's own."""
    trust_remote_code: bool = False
    """Its folder may run code of its own."""
    adapter: Path | None = None
    draft_model: Path | None = None
    draft_name: str | None = None
    """Its name on the hub, or its folder's."""
    prompt_lookup: int = 0
    prompt_cache: PromptCache = PromptCache()
    """What it may take to remember prompts; nothing where no bytes are named."""
    overflow: Overflow = "error"
    kv_cache: KvCache | None = None
    sampling: SamplingDefaults = SamplingDefaults()
    system_prompt: str | None = None

    @property
    def kept_length(self) -> int | None:
        """Tokens that its cache holds at the most, all requests together; None: nothing is known of a bound."""
        options = self.kv_cache
        if options is None or not options.max_tokens or not options.is_serial:
            return self.context_length
        return min(options.max_tokens, self.context_length or options.max_tokens)

    def check(self) -> None:
        """Raise the error a request for this model gets, if it cannot be served."""
        if self.error is not None:
            raise ModelLoadFailed(self.error, field="model")
