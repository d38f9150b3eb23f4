"""Put a pool together from what the user set."""

import itertools
from collections.abc import Callable
from pathlib import Path

import msgspec

from mlxd.config.catalog import ModelSpec
from mlxd.config.settings import Settings
from mlxd.protocol.spec import WorkerSpec
from mlxd.supervisor.clock import Clock, SystemClock
from mlxd.supervisor.grants import grant
from mlxd.supervisor.lifecycle import Policy
from mlxd.supervisor.logs import WorkerLog
from mlxd.supervisor.memory import footprint, total_bytes
from mlxd.supervisor.pool import Limits, Pool
from mlxd.supervisor.process import Launcher, SpawnLauncher

_ASK_GRACE_S = 5.0
"""From asking a worker to leave to SIGTERM, which asks the same again in case the control channel is stuck."""
_MOST_TOKENIZERS = 2


def build_pool(
    settings: Settings,
    *,
    log_dir: Path,
    run_dir: Path,
    launcher: Launcher | None = None,
    clock: Clock | None = None,
) -> Pool:
    """Return a pool without workers; sockets go to `run_dir`, which exists and is private."""
    return Pool(
        limits=Limits(
            max_loaded=settings.memory.max_loaded,
            max_queue=settings.defaults.max_queue,
            max_swap_wait=settings.defaults.max_swap_wait,
        ),
        policy=policy(settings),
        launcher=launcher or SpawnLauncher(),
        clock=clock or SystemClock(),
        log_for=lambda model_id: WorkerLog(model_id, log_dir),
        worker_spec=_worker_specs(settings, run_dir),
        footprint=footprint,
    )


def build_tokenizers(
    settings: Settings,
    *,
    log_dir: Path,
    run_dir: Path,
    launcher: Launcher | None = None,
    clock: Clock | None = None,
) -> Pool:
    """Return a pool whose workers read no weights: a few small processes that only count tokens."""
    describe = _worker_specs(settings, run_dir, prefix="t")
    return Pool(
        limits=Limits(
            max_loaded=_MOST_TOKENIZERS,
            max_queue=settings.defaults.max_queue,
            max_swap_wait=settings.defaults.max_swap_wait,
        ),
        policy=policy(settings),
        launcher=launcher or SpawnLauncher(),
        clock=clock or SystemClock(),
        log_for=lambda model_id: WorkerLog(model_id, log_dir),
        worker_spec=lambda spec: msgspec.structs.replace(describe(spec), tokenizer_only=True),
        footprint=footprint,
    )


def policy(settings: Settings) -> Policy:
    """Return the times that bound a worker's life."""
    defaults = settings.defaults
    return Policy(
        hello_timeout=defaults.hello_timeout,
        load_stall=defaults.load_stall,
        step_stall=defaults.step_stall,
        drain_timeout=defaults.drain_timeout,
        ask_grace=_ASK_GRACE_S,
        kill_grace=defaults.kill_grace,
        stable_after=defaults.stable_after,
        backoff=defaults.backoff,
        backoff_max=defaults.backoff_max,
    )


def _worker_specs(
    settings: Settings, run_dir: Path, prefix: str = ""
) -> Callable[[ModelSpec], WorkerSpec]:
    numbers = itertools.count(1)
    limits = grant(settings.memory.budget_bytes(total_bytes()))

    def worker_spec(spec: ModelSpec) -> WorkerSpec:
        return WorkerSpec(
            model_id=spec.id,
            kind=spec.kind,
            path=str(spec.path),
            socket=str(run_dir / f"{prefix}{next(numbers)}.sock"),
            max_batch=spec.max_batch,
            context_length=spec.context_length,
            memory_limit=limits.memory_bytes,
            cache_limit=limits.cache_bytes,
            chat_template=spec.chat_template,
            adapter=str(spec.adapter) if spec.adapter else None,
        )

    return worker_spec
