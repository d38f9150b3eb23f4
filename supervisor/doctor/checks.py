"""Judge the facts: one pure function per check, in the order in which a person would look."""

from collections.abc import Callable, Mapping

from mlxd.protocol.units import format_size
from mlxd.supervisor.doctor import service_checks, worker_checks
from mlxd.supervisor.doctor.facts import Facts
from mlxd.supervisor.doctor.finding import Finding, fail, ok, skip, warn

_LEAST_FREE = 1 << 30
_LITTLE_FREE = 10 << 30
_CLOCK_SLACK_S = 5.0


def config(facts: Facts) -> Finding:
    """Tell whether the configuration can be read."""
    if facts.config_error:
        return fail(facts.config_error, "correct that line; `mlxctl init` writes an explained file")
    shown = facts.paths.config_file
    return ok(f"{shown} is valid" if shown.exists() else f"no {shown}; the defaults count")


def daemon(facts: Facts) -> Finding:
    """Tell whether the daemon runs and answers."""
    if facts.url is None:
        return warn("mlxd is not running", "`mlxctl start`, or `mlxctl install` for every login")
    if facts.daemon_error:
        advice = "`mlxctl logs` says more; `mlxctl restart` starts it anew"
        return fail(f"pid {facts.pid} at {facts.url} does not answer: {facts.daemon_error}", advice)
    return ok(f"answers at {facts.url}, pid {facts.pid}")


def port(facts: Facts) -> Finding:
    """Tell who has the configured port."""
    if facts.settings is None:
        return skip("the configuration cannot be read")
    number = facts.settings.server.port
    if facts.port_holder:
        advice = "stop that process, or choose another `server.port`"
        return fail(f"port {number} is taken by {facts.port_holder}", advice)
    return ok(f"port {number} is ours" if facts.url else f"port {number} is free")


def memory(facts: Facts) -> Finding:
    """Tell whether models have the memory that the configuration promises them."""
    if facts.settings is None:
        return skip("the configuration cannot be read")
    budget = facts.settings.memory.budget_bytes(facts.gpu_bytes)
    says = (
        f"models may take {format_size(budget)} of {format_size(facts.total_bytes)}, "
        f"{format_size(facts.available_bytes)} are free now"
    )
    if budget > facts.gpu_bytes:
        advice = f"lower memory.budget; the GPU may use {format_size(facts.gpu_bytes)}"
        return fail(says, advice)
    if facts.available_bytes < budget // 4 and facts.probe is None:
        return warn(says, "other programs hold most of it; large models will wait or be refused")
    return ok(says)


def wired(facts: Facts) -> Finding:
    """Tell whether weights are kept from being swapped out, and what that can cost."""
    if facts.settings is None:
        return skip("the configuration cannot be read")
    if not facts.settings.memory.wired:
        return ok("memory.wired is off, the default")
    advice = "set memory.wired: false if the machine ever panics under load (mlx#3186)"
    return warn("memory.wired is on", advice)


def hub_cache(facts: Facts) -> Finding:
    """Tell what the Hugging Face cache holds."""
    where = facts.paths.hub_cache
    if not facts.hub_exists:
        says = f"{where} does not exist"
        return warn(says, "`mlxctl pull REPO` makes it; a cache elsewhere is named by HF_HOME")
    if facts.unusable:
        name, why = facts.unusable[0]
        more = f" and {len(facts.unusable) - 1} more" if len(facts.unusable) > 1 else ""
        says = f"{facts.models} models in {where}; {name}{more} cannot be served: {why}"
        return warn(says, "`mlxctl pull` completes a model, `mlxctl rm` removes it")
    return ok(f"{facts.models} models in {where}")


def downloads(facts: Facts) -> Finding:
    """Tell which downloads were not finished."""
    if not facts.half:
        return ok("no unfinished downloads")
    shown = ", ".join(f"{name} ({format_size(size)})" for name, size in sorted(facts.half.items()))
    return warn(f"not finished: {shown}", "`mlxctl pull` goes on with it, `mlxctl rm` removes it")


def extras(facts: Facts) -> Finding:
    """Tell which kinds of model can be served."""
    lacking = {extra: names for extra, names in facts.missing.items() if names}
    there = ", ".join(sorted(set(facts.missing) - set(lacking))) or "none"
    if not lacking:
        return ok(f"installed: text, {there}")
    shown = "; ".join(f"{extra} lacks {', '.join(lacking[extra])}" for extra in sorted(lacking))
    advice = f"for these kinds: pip install 'mlxd[{','.join(sorted(lacking))}]'"
    return warn(f"installed: text, {there}; {shown}", advice)


def codec(facts: Facts) -> Finding:
    """Tell whether audio in compressed formats can be read and written."""
    if facts.ffmpeg or facts.av:
        return ok(facts.ffmpeg or "PyAV decodes")
    advice = "pip install 'mlxd[audio-full]', or brew install ffmpeg"
    return warn("neither PyAV nor ffmpeg; m4a, mp3 and webm cannot be decoded", advice)


def disk(facts: Facts) -> Finding:
    """Tell whether the disks have room."""
    if not facts.free:
        return skip("no folder could be asked")
    folder, free = min(facts.free.items(), key=lambda entry: entry[1])
    says = f"{format_size(free)} free at {folder}"
    if free < _LEAST_FREE:
        return fail(says, "make room: logs, prompt caches and downloads fail soon")
    if free < _LITTLE_FREE:
        return warn(says, "`mlxctl list` shows what models take, `mlxctl rm` removes one")
    return ok(says)


def clock(facts: Facts) -> Finding:
    """Tell whether the clock can be right; keys that expire and signed requests depend on it."""
    advice = "set the clock: keys that expire and signed requests depend on it"
    if facts.clock < facts.built_at - _CLOCK_SLACK_S:
        return fail("the clock is behind the day on which mlxd was installed", advice)
    if facts.started_at is not None and facts.clock < facts.started_at - _CLOCK_SLACK_S:
        return fail("the clock is behind the daemon's start", advice)
    if abs(facts.clock - facts.file_clock) > _CLOCK_SLACK_S:
        off = abs(facts.clock - facts.file_clock)
        return warn(f"the disk's clock differs by {off:.0f} s", "is the home folder on a network?")
    return ok("plausible")


CHECKS: Mapping[str, Callable[[Facts], Finding]] = {
    "config": config,
    "daemon": daemon,
    "port": port,
    "service": service_checks.service,
    "launchd": service_checks.launchd,
    "memory": memory,
    "wired": wired,
    "hub_cache": hub_cache,
    "downloads": downloads,
    "extras": extras,
    "codec": codec,
    "disk": disk,
    "clock": clock,
    "demo_token": worker_checks.demo_token,
    "unload": worker_checks.unload,
    "wired_limit": worker_checks.wired_limit,
    "docker_host": worker_checks.docker_host,
    "container": worker_checks.container,
}
"""Name -> check; the names are stable, for programs."""


def judge(facts: Facts) -> dict[str, Finding]:
    """Return every check's finding."""
    return {name: check(facts) for name, check in CHECKS.items()}
