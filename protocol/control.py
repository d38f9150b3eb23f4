"""Say what supervisor and worker tell each other over the control channel.

One JSON object per line, tagged by `type`. The channel is a socket pair: its end of file tells the worker that the
supervisor is gone, and the supervisor that the worker is.
"""

from typing import TypeVar

import msgspec

from mlxd.protocol.exit_codes import ExitCode
from mlxd.protocol.spec import WorkerSpec

VERSION = 1

ACCOUNT = "x-mlxd-account"
"""Header by which the supervisor tells a worker whom to report as having used the tokens of a request."""
KEY = "x-mlxd-key"
"""Header with the name of the API key, by which metrics tell whose tokens they were."""
QUEUED = "x-mlxd-queued-ns"
"""Header that says how many nanoseconds the request has waited for its worker."""
REQUEST = "x-mlxd-request"
"""Header with the number under which a worker is to say what the request has used; only where somebody asks."""
ERROR = "x-mlxd-error"
"""Header of a worker's refusal with the error's code; the supervisor notes it and takes it off."""
CACHE_SALT = "x-mlxd-cache-salt"
"""Header that keeps the prompts of a request from all that came without it or with another one."""

T = TypeVar("T")


class Hello(msgspec.Struct, tag=True, frozen=True):
    """Report that the process runs and listens for `Start`."""

    pid: int
    version: int = VERSION


class LoadProgress(msgspec.Struct, tag=True, frozen=True):
    """Report bytes of weights read so far; any such message resets the load's stall clock."""

    bytes_read: int
    bytes_total: int


class Ready(msgspec.Struct, tag=True, frozen=True):
    """Report that a self-test token came out and the socket serves."""

    weights_bytes: int
    context_length: int
    load_seconds: float
    kv_bytes_per_token: int = 0
    """How much the cache grew for one token of a usual prompt, measured; 0 where nothing grows."""


class Heartbeat(msgspec.Struct, tag=True, frozen=True):
    """Report the step counter; sent by the engine thread itself, only while it has work or has just finished it."""

    steps: int
    rows: int


class Used(msgspec.Struct, tag=True, frozen=True, omit_defaults=True):
    """Report what one request has cost whom, once it has ended in whatever way."""

    account: str
    input_tokens: int
    output_tokens: int
    key: str = ""
    """Name of the API key; the account is its id."""
    cached_tokens: int = 0
    """Part of the input that was known from earlier requests."""
    is_cancelled: bool = False
    """Whether the client left before it had the whole answer."""
    error: str = ""
    """Code of the error that ended an answer which had begun well."""
    first_token: float | None = None
    """Seconds from the request's arrival to the first token of its answer, the wait for the worker included."""
    gaps: tuple[int, ...] = ()
    """How often which time passed between two tokens, in the buckets of `timing.INTER_TOKEN`."""
    gap_seconds: float = 0.0
    """All of those times together."""
    request: int = 0
    """The number that the request came with."""


class Failed(msgspec.Struct, tag=True, frozen=True):
    """Report in words why the process is about to leave with `code`."""

    code: ExitCode
    message: str


class Start(msgspec.Struct, tag=True, frozen=True):
    """Tell the worker to load this model."""

    spec: WorkerSpec


class Stop(msgspec.Struct, tag=True, frozen=True):
    """Tell the worker to fail what still runs, free the model and leave."""

    reason: str


class Limits(msgspec.Struct, tag=True, frozen=True):
    """Tell the worker its new share, in bytes: somebody else came or went."""

    memory_limit: int
    cache_limit: int


class Shrink(msgspec.Struct, tag=True, frozen=True):
    """Tell the worker to give back what it can do without; the machine is short of memory."""


class DumpStacks(msgspec.Struct, tag=True, frozen=True):
    """Tell the worker to write the stacks of all threads to its log."""


FromWorker = Hello | LoadProgress | Ready | Heartbeat | Used | Failed
ToWorker = Start | Stop | Limits | Shrink | DumpStacks

_encoder = msgspec.json.Encoder()
_from_worker: msgspec.json.Decoder[FromWorker] = msgspec.json.Decoder(FromWorker)
_to_worker: msgspec.json.Decoder[ToWorker] = msgspec.json.Decoder(ToWorker)


def encode(message: FromWorker | ToWorker) -> bytes:
    """Return the message as one line."""
    return _encoder.encode(message) + b"\n"


def decode_from_worker(line: bytes) -> FromWorker:
    """Read a worker's line; raises msgspec.DecodeError on anything else."""
    return _decoded(_from_worker, line)


def decode_to_worker(line: bytes) -> ToWorker:
    """Read a supervisor's line; raises msgspec.DecodeError on anything else."""
    return _decoded(_to_worker, line)


def _decoded(decoder: msgspec.json.Decoder[T], line: bytes) -> T:
    try:
        return decoder.decode(line)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from None
