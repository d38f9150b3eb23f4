"""Put a pool together from what the user set."""

import itertools
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from mlxd.config.catalog import ModelSpec
from mlxd.config.settings import Settings
from mlxd.protocol.spec import WorkerSpec
from mlxd.protocol.units import NEVER
from mlxd.supervisor import usage
from mlxd.supervisor.budget.budget import Budget, Gauges
from mlxd.supervisor.budget.costs import Costs
from mlxd.supervisor.budget.memory import (
    available_bytes,
    footprint,
    gpu_bytes,
    peak_footprint,
    total_bytes,
)
from mlxd.supervisor.clock import Clock, SystemClock
from mlxd.supervisor.lifecycle.lifecycle import Policy
from mlxd.supervisor.lifecycle.process import Launcher, SpawnLauncher
from mlxd.supervisor.lifecycle.stale_workers import NotingLauncher
from mlxd.supervisor.lifecycle.standby import Patience, StandbyLauncher
from mlxd.supervisor.logs.journal import Tell, unheard
from mlxd.supervisor.logs.logs import WorkerLog
from mlxd.supervisor.scheduling.limits import Limits
from mlxd.supervisor.scheduling.pool import Pool
from mlxd.supervisor.scheduling.wait_board import WaitBoard
from mlxd.supervisor.scheduling.worker_pools import WorkerPools
from mlxd.supervisor.usage import Usage

_ASK_GRACE_S = 5.0
"""From asking a worker to leave to SIGTERM, which asks the same again in case the control channel is stuck."""
_LEAST_WORKER_QUEUE = 1024
_MOST_TOKENIZERS = 2
_SPARE_SHARE = 8
"""One part in so many of the machine's memory must be free, or nothing is kept in reserve."""
_TOKENIZER_BYTES = 256 << 20
"""More than a process without weights ever asks MLX for."""
_COSTS = "costs.json"
PROMPT_CACHE = "prompt-cache"
"""Folder of the state that prompts are remembered in."""
_LONGEST_FETCH = 3600.0
_LONGEST_FILM = 6 * 3600.0


def build_pool(
    settings: Settings,
    *,
    log_dir: Path,
    run_dir: Path,
    state_dir: Path | None = None,
    launcher: Launcher | None = None,
    clock: Clock | None = None,
    tell: Tell = unheard,
    others: Callable[[], Iterable[int]] = tuple,
) -> Pool:
    """Return a pool without workers; sockets go to `run_dir`, which exists and is private.

    What models cost is remembered in `state_dir`, without one only until the daemon stops. `others` are processes of
    ours that share the budget with the models.
    """
    clock = clock or SystemClock()
    costs = Costs(state_dir / _COSTS if state_dir else None)
    return Pool(
        limits=limits(settings),
        policy=policy(settings),
        launcher=launcher or SpawnLauncher(),
        clock=clock,
        log_for=lambda model_id: WorkerLog(model_id, log_dir),
        worker_spec=_worker_specs(settings, run_dir, state_dir=state_dir),
        footprint=footprint,
        budget=Budget(_gauges(settings, others), costs, clock, wire=settings.memory.wired),
        tell=tell,
        usage=Usage(state_dir / usage.FILE if state_dir else None),
    )


def _gauges(settings: Settings, others: Callable[[], Iterable[int]]) -> Gauges:
    return Gauges(
        budget=lambda: settings.memory.budget_bytes(gpu_bytes()),
        recommended=gpu_bytes,
        available=available_bytes,
        footprint=footprint,
        peak=peak_footprint,
        others=others,
    )


def build_pools(
    settings: Settings,
    *,
    log_dir: Path,
    run_dir: Path,
    state_dir: Path,
    launcher: Launcher,
    tell: Tell = unheard,
    reserve: Callable[[], Iterable[int]] = tuple,
) -> WorkerPools:
    """Return both pools, of models and of tokenizers, whose workers one launcher starts.

    `reserve` names the processes that it keeps ready.
    """
    tokenizers = build_tokenizers(settings, log_dir=log_dir, run_dir=run_dir, launcher=launcher)
    models = build_pool(
        settings,
        log_dir=log_dir,
        run_dir=run_dir,
        state_dir=state_dir,
        launcher=launcher,
        tell=tell,
        others=lambda: [*reserve(), *(w.pid for w in tokenizers.workers() if w.pid)],
    )
    return WorkerPools(models, tokenizers, WaitBoard(models, SystemClock()))


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
        worker_spec=lambda spec: msgspec.structs.replace(
            describe(spec), tokenizer_only=True, memory_limit=_TOKENIZER_BYTES
        ),
        footprint=footprint,
    )


def build_standby(settings: Settings, run_dir: Path) -> StandbyLauncher:
    """Return the launcher of all pools; it keeps nothing in reserve before it is opened."""
    return StandbyLauncher(
        NotingLauncher(SpawnLauncher(), run_dir),
        settings.defaults.standby_workers,
        patience=Patience(hello=settings.defaults.hello_timeout),
        has_memory=lambda: available_bytes() * _SPARE_SHARE >= total_bytes(),
    )


def limits(settings: Settings) -> Limits:
    """Return what bounds the pool of models; a reload may change it."""
    return Limits(
        max_loaded=settings.memory.max_loaded,
        max_queue=settings.defaults.max_queue,
        max_swap_wait=settings.defaults.max_swap_wait,
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
        quarantine_after=defaults.quarantine_after,
    )


def _worker_specs(
    settings: Settings, run_dir: Path, prefix: str = "", state_dir: Path | None = None
) -> Callable[[ModelSpec], WorkerSpec]:
    numbers = itertools.count(1)

    def worker_spec(spec: ModelSpec) -> WorkerSpec:
        return WorkerSpec(
            model_id=spec.id,
            kind=spec.kind,
            path=str(spec.path),
            socket=str(run_dir / f"{prefix}{next(numbers)}.sock"),
            max_batch=spec.max_batch,
            # The queue is bounded here, before the worker; a second, tighter bound would refuse what was admitted.
            max_queue=max(_LEAST_WORKER_QUEUE, settings.defaults.max_queue + spec.max_batch),
            context_length=spec.context_length,
            chat_template=spec.chat_template,
            overflow=spec.overflow,
            kv_cache=spec.kv_cache,
            sampling=spec.sampling,
            system_prompt=spec.system_prompt,
            adapter=str(spec.adapter) if spec.adapter else None,
            draft_model=str(spec.draft_model) if spec.draft_model else None,
            prompt_lookup=spec.prompt_lookup,
            trust_remote_code=spec.trust_remote_code,
            fetch_urls=settings.media.allow_urls,
            largest_image=settings.media.max_image,
            most_pixels=settings.media.max_pixels,
            longest_film=min(settings.media.max_film, _LONGEST_FILM),
            most_frames=settings.media.max_frames,
            most_drawn_pixels=settings.media.max_generated_pixels,
            fetch_timeout=min(settings.media.fetch_timeout, _LONGEST_FETCH),
            longest_audio=None if settings.media.max_audio == NEVER else settings.media.max_audio,
            prompt_cache_memory=spec.prompt_cache.memory or 0,
            prompt_cache_disk=spec.prompt_cache.disk or 0,
            prompt_cache_folder=str(state_dir / PROMPT_CACHE) if state_dir else None,
        )

    return worker_spec
