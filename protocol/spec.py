"""Describe all a worker must know to serve one model."""

import msgspec

from mlxd.protocol.generation import KvCache, Overflow, SamplingDefaults
from mlxd.protocol.kinds import ModelKind


class WorkerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Tell a worker what to load, where to listen and how much it may take.

    Sent over the control channel after `Hello`, so that a worker started ahead of need can take any model.
    Sizes are bytes, times are seconds.
    """

    model_id: str
    """The configured or hub id; what responses name in `model`."""
    kind: ModelKind
    path: str
    """Folder with config.json, weights and tokenizer."""
    socket: str
    """Path of the Unix socket to serve HTTP on."""
    max_batch: int = 32
    max_queue: int = 1024
    """Requests that may wait inside the worker before new ones get 429."""
    context_length: int | None = None
    """Window to enforce; None = what the model's config says."""
    memory_limit: int | None = None
    cache_limit: int | None = None
    wired_limit: int = 0
    """Bytes to wire on Metal; 0 unless opted in (mlx#3186)."""
    heartbeat_interval: float = 1.0
    chat_template: str | None = None
    """Overrides the folder's own template."""
    sampling: SamplingDefaults = SamplingDefaults()
    """What a request gets that leaves a field out."""
    system_prompt: str | None = None
    """What a conversation begins with that has no system message of its own."""
    overflow: Overflow = "error"
    """What is done to a conversation that is too long."""
    kv_cache: KvCache | None = None
    """How its state is kept, with nothing left open; None: as the model's architecture does by itself."""
    adapter: str | None = None
    draft_model: str | None = None
    """Folder of a smaller model that guesses ahead."""
    prompt_lookup: int = 0
    """Tokens guessed ahead where the text repeats itself, 0 = none."""
    prompt_cache_memory: int = 0
    """Bytes that states of prompts may take in memory, 0 = none are kept."""
    prompt_cache_disk: int = 0
    """Bytes they may take on disk, 0 = none."""
    prompt_cache_folder: str | None = None
    """Where all models keep theirs; None = not on disk."""
    longest_audio: float | None = None
    """Seconds of sound that one upload may have, None = any number."""
    longest_film: float = 600.0
    """Seconds that a film may last that a model is to be shown."""
    most_frames: int = 256
    """Frames of one that a model is shown."""
    fetch_urls: bool = False
    """Fetch pictures, films and sounds that a request names by address."""
    largest_image: int = 20_000_000
    """Bytes of one file of these."""
    most_pixels: int = 40_000_000
    """Pixels of one picture."""
    most_drawn_pixels: int = 4_194_304
    """Pixels of a picture that is drawn."""
    fetch_timeout: float = 20.0
    """Seconds that fetching one may take."""
    trust_remote_code: bool = False
    """Let the model's folder run code of its own."""
    tokenizer_only: bool = False
    """Read no weights and answer nothing but how many tokens a prompt has."""
