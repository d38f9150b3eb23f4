"""Describe what the user may set: one frozen struct per section, one sentence per key.

No default stands here but None and "nothing": the others are in defaults.yaml. Durations are seconds (`units.NEVER` for
no limit), sizes are bytes.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from mlxd.protocol.generation import KvCache, Overflow, SamplingDefaults

Seconds = Annotated[float, Meta(extra={"unit": "duration"})]
"""Written as 30, "90s", "10m" or -1."""
Interval = Annotated[float, Meta(gt=0, extra={"unit": "duration"})]
"""A duration that must not be 0."""
Bytes = Annotated[int, Meta(extra={"unit": "size"})]
"""Written as 1048576, "512MB" or "2GiB"."""
Budget = Annotated[str, Meta(extra={"unit": "budget"})]
"""Written as "75%" or as a size; kept as "75%" or as digits."""
Collector = Annotated[str, Meta(extra={"unit": "collector"})]
"""Written as an http(s) address."""
Share = Annotated[float, Meta(ge=0, le=1)]
Name = Annotated[str, Meta(min_length=1)]
Port = Annotated[int, Meta(ge=0, le=65535)]
Count = Annotated[int, Meta(ge=1)]
CountOrZero = Annotated[int, Meta(ge=0)]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Group keys; an unknown one is an error."""


class Server(Section, frozen=True, kw_only=True):
    """Set up the public port."""

    host: Name
    """Address to listen on."""
    port: Port
    """Port to listen on; 0 takes any free one."""
    allowed_hosts: tuple[Name, ...]
    """Names a request's Host header may carry."""
    cors_origins: tuple[Name, ...]
    """Web origins that may call from a browser."""
    api_key: Name | None
    """Key every request must carry, None = none needed."""
    max_body: Bytes
    """Largest request body."""
    client_timeout: Interval
    """Time a client has to send its headers, and between two pieces of its body."""
    signature_tolerance: Interval
    """How far the time of a signed request may be off."""
    keepalive_interval: Interval
    """A waiting stream gets bytes at least this often."""
    keep_awake: bool
    """Keep a Mac from falling asleep by itself while a request runs or a model comes."""
    log_level: Literal["debug", "info", "warning", "error"]
    """How much goes to the log."""

    @property
    def longest_silence(self) -> float:
        """Return the seconds after which a silent stream is given bytes, so that a busy machine keeps the promise."""
        return self.keepalive_interval * 0.8


class Memory(Section, frozen=True, kw_only=True):
    """Limit what all workers take together."""

    budget: Budget
    """Share of what the GPU may use, or bytes."""
    max_loaded: CountOrZero
    """Models loaded at the same time, 0 = as many as fit."""
    wired: bool
    """Keep weights from being swapped out."""

    def budget_bytes(self, available: int) -> int:
        """Return the budget in bytes where `available` is what the GPU may use."""
        if self.budget.endswith("%"):
            return int(available * float(self.budget[:-1]) / 100)
        return int(self.budget)


class Defaults(Section, frozen=True, kw_only=True):
    """Treat every model so, unless its own entry says otherwise."""

    idle_timeout: Seconds
    """Time without requests after which a model is unloaded."""
    max_batch: Count
    """Sequences one model generates at the same time."""
    overflow: Overflow
    """What is done to a conversation that is longer than the window."""
    prompt_cache_memory: Bytes
    """Memory one model may take to remember prompts; 0 = none."""
    prompt_cache_disk: Bytes
    """Disk one model may take for the same; 0 = none."""
    standby_workers: CountOrZero
    """Processes kept ready for the next model."""
    max_queue: Count
    """Requests that may wait per model before new ones are refused with 429."""
    max_swap_wait: Seconds
    """Longest wait behind another model's requests before a swap."""
    hello_timeout: Interval
    """Time a new process has to report."""
    load_stall: Interval
    """Time a load may go without progress."""
    step_stall: Interval
    """Time a batch may go without a step."""
    drain_timeout: Seconds
    """Time running requests get to finish when a model is unloaded by force or the daemon stops."""
    kill_grace: Interval
    """Time a worker gets to free its memory and leave before it is killed."""
    stable_after: Seconds
    """A worker that served this long has its earlier failures forgotten."""
    backoff: Seconds
    """Wait after a model's first failure; doubles with each further one."""
    backoff_max: Seconds
    """Longest such wait."""
    quarantine_after: CountOrZero
    """Failures in a row after which a model is left alone until `mlxctl reset`, 0 = never."""


class Responses(Section, frozen=True, kw_only=True):
    """Limit what is kept of responses and conversations."""

    max_stored: CountOrZero
    """How many are kept; 0 = none."""
    max_bytes: Bytes
    """Bytes they may take on disk; the ones not used for longest go first."""


class Media(Section, frozen=True, kw_only=True):
    """Limit what uploads may ask for."""

    max_audio: Interval
    """Longest recording to transcribe."""
    max_image: Bytes
    """Largest file of a picture, film or sound to show a model."""
    max_pixels: Count
    """Most pixels of one; it is not even decoded with more."""
    max_film: Interval
    """Longest film to show a model."""
    max_frames: Count
    """Most frames of a film that a model is shown."""
    max_generated_pixels: Count
    """Most pixels of one that a model is to draw."""
    allow_urls: bool
    """Fetch pictures, films and sounds that requests name by address, from the public internet only."""
    fetch_timeout: Interval
    """Time that fetching one may take."""


class Tracing(Section, frozen=True, kw_only=True):
    """Tell a collector of OpenTelemetry what became of requests."""

    endpoint: Collector | None
    """Where one takes OTLP over HTTP; None = nobody is told."""
    ratio: Share
    """Which share of the requests whose caller has not decided."""


class PromptCache(Section, frozen=True, kw_only=True):
    """Limit what a model's finished prompts may keep; None = as under defaults, 0 = nothing."""

    memory: Bytes | None = None
    """Bytes in memory."""
    disk: Bytes | None = None
    """Bytes on disk."""


class ModelEntry(Section, frozen=True, kw_only=True):
    """Declare one model; None = as under defaults, or as the model's folder says."""

    id: Name
    """What the `model` of a request says."""
    source: Name | None = None
    """Hub id in the local cache, or an absolute folder; None = the id."""
    aliases: tuple[Name, ...] = ()
    """More names, or patterns."""
    idle_timeout: Seconds | None = None
    """Time without requests after which it is unloaded."""
    pin: bool = False
    """Never unload it to make room, nor when idle."""
    max_batch: Count | None = None
    """Sequences generated at the same time."""
    context_length: Count | None = None
    """Window in tokens."""
    overflow: Overflow | None = None
    """What is done to a conversation that is longer than the window."""
    prompt_cache: PromptCache | None = None
    """Bytes its finished prompts may keep."""
    kv_cache: KvCache | None = None
    """How it keeps what it has read, where that is to take less memory."""
    sampling: SamplingDefaults | None = None
    """What a request gets that leaves a field out."""
    system_prompt: Name | None = None
    """What a conversation begins with that has no system message of its own."""
    draft_model: Name | None = None
    """Smaller model that guesses ahead: a hub id or an absolute folder."""
    prompt_lookup: CountOrZero = 0
    """Tokens guessed ahead where the text repeats itself; 0 = none."""
    adapter: Name | None = None
    """Absolute folder with LoRA weights."""
    chat_template: Name | None = None
    """Absolute path of a chat template that replaces the model's own."""
    trust_remote_code: bool = False
    """Let the model's folder run Python code of its own."""


class Settings(Section, frozen=True, kw_only=True):
    """Hold all that the user set."""

    server: Server
    """The public port."""
    memory: Memory
    """What all workers may take together."""
    defaults: Defaults
    """How every model is treated unless its own entry says otherwise."""
    responses: Responses
    """What is kept of responses and conversations."""
    media: Media
    """What uploads may ask for."""
    tracing: Tracing
    """Whom traces go to."""
    demo: bool
    """Serve the embedded model."""
    hub: bool
    """Serve every complete model of the local Hugging Face cache."""
    models: tuple[ModelEntry, ...]
    """Models under a name of the user's own, or with settings of their own."""


def is_pattern(name: str) -> bool:
    """Tell whether an alias may match more than itself."""
    return not frozenset("*?[").isdisjoint(name)
