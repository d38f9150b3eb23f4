"""Say in words why a worker ended: pure tables over exit codes, signals and what Metal says."""

import signal

from mlxd.protocol.exit_codes import ExitCode
from mlxd.protocol.lifecycle import StopReason, WorkerState
from mlxd.supervisor.lifecycle.lifecycle import Life

_SIGNALS = {
    signal.SIGKILL: "as the system does when memory runs out",
    signal.SIGABRT: "as MLX does on an error it cannot report",
    signal.SIGSEGV: "a crash in native code",
    signal.SIGBUS: "a crash in native code, or a weight file that changed while it was read",
}
"""What usually stands behind a signal that nobody of ours sent."""

_MESSAGES = {
    "resource limit (": "MLX holds too many buffers: buffer count, not bytes",
    "erroroutofmemory": "the GPU ran out of memory",
    "insufficient memory": "the GPU ran out of memory",
    "unable to allocate": "there was no memory left for one more buffer",
    "errorhang": "the GPU hung and was reset by the system",
    "caused gpu timeout": "one command took the GPU longer than the system allows",
    "impacting interactivity": "one command kept the screen waiting for the GPU, so the system ended it",
    "errorsubmissionsignored": "the system takes nothing more for the GPU after earlier errors",
    "errorinnocentvictim": "another process made the system reset the GPU",
}
"""What a piece of a message by Metal or MLX means, in small letters (mlx#3186, #3849, #3390; omlx#1387)."""


def ended(model_id: str, exit_code: int) -> str:
    """Say how a worker process ended; a negative code is a signal's number."""
    if exit_code < 0:
        return f"the worker of {model_id} was ended by {_signal(-exit_code)}"
    try:
        name = ExitCode(exit_code).name.lower().replace("_", " ")
    except ValueError:
        name = "unexpectedly"
    return f"the worker of {model_id} left with status {exit_code} ({name})"


_REASONS = {
    StopReason.UNLOAD: "somebody asked for it",
    StopReason.IDLE: "nobody used it for its idle time",
    StopReason.EVICTED: "room was needed",
    StopReason.SHUTDOWN: "mlxd stops",
}
_USUAL = {
    WorkerState.STARTING: "it was asked for",
    WorkerState.LOADING: "the process reported",
    WorkerState.READY: "a first token came out",
    WorkerState.STOPPED: "its process is gone",
}


def moved(life: Life, told: str) -> str:
    """Say why a worker entered its state; `told` is what whoever moved it said."""
    if life.error:
        return life.error
    if life.state in (WorkerState.DRAINING, WorkerState.STOPPING) and life.stop_reason:
        return told or _REASONS.get(life.stop_reason, life.stop_reason)
    return told or _USUAL.get(life.state, "")


def _signal(number: int) -> str:
    try:
        known = signal.Signals(number)
    except ValueError:
        return f"signal {number}"
    hint = _SIGNALS.get(known)
    return f"{known.name}, {hint}" if hint else known.name


def explained(message: str) -> str:
    """Return a worker's own words, and what they mean where they are known."""
    small = message.lower()
    for piece, meaning in _MESSAGES.items():
        if piece in small:
            return f"{message} ({meaning})"
    return message
