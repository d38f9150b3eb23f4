"""Judge what came of loading a model, and whether a container can reach the daemon."""

from mlxd.protocol.units import format_size
from mlxd.supervisor.doctor.facts import Facts
from mlxd.supervisor.doctor.finding import Finding, fail, ok, skip, warn

_SLOW_S = 30.0
_SLACK = 200 << 20
"""Bytes that other programs may wire meanwhile."""
_NOT_RUN = "no token was made: the daemon does not answer, or the demo model is off"


def demo_token(facts: Facts) -> Finding:
    """Tell whether a model loads and makes a token."""
    if facts.probe is None:
        return skip(_NOT_RUN)
    if facts.probe.error:
        return fail(facts.probe.error, "`mlxctl logs demo` says more")
    says = f"the demo model made a token in {facts.probe.token_seconds:.1f} s"
    if facts.probe.token_seconds > _SLOW_S:
        return warn(says, "the machine is busy, or the disk slow")
    return ok(says)


def unload(facts: Facts) -> Finding:
    """Tell whether an unload ends the process and gives its memory back."""
    probe = facts.probe
    if probe is None or probe.error:
        return skip(_NOT_RUN)
    if probe.is_gone is None:
        return skip("the demo model was loaded before, so it was left loaded")
    if not probe.is_gone:
        return fail("the worker still ran when the unload answered", "please report this")
    says = f"its process of {format_size(probe.footprint)} is gone"
    if probe.wired_before is not None and probe.wired_after is not None:
        kept = probe.wired_after - probe.wired_before
        if kept > _SLACK:
            advice = "try again with other programs closed; if it stays, only a reboot frees it"
            return warn(f"{says}, but the machine has {format_size(kept)} more wired", advice)
        says += f"; wired memory is back within {format_size(max(0, kept))}"
    return ok(says)


def wired_limit(facts: Facts) -> Finding:
    """Tell whether MLX wires what the configuration allows and no more, read back after it generated."""
    probe = facts.probe
    if facts.platform != "darwin":
        return skip("only Metal has a wired limit")
    if probe is None or probe.error or probe.wired_limit is None or facts.settings is None:
        return skip(_NOT_RUN)
    says = f"{format_size(probe.wired_limit)} in force after generating"
    if not facts.settings.memory.wired and probe.wired_limit:
        return fail(f"{says}, though memory.wired is off", "please report this: macOS may panic")
    return ok(says)


def docker_host(facts: Facts) -> Finding:
    """Tell whether requests under the name that containers use are let in."""
    if facts.host_status is None:
        return skip("the daemon does not answer")
    if facts.host_status == 403:
        advice = "add host.docker.internal to server.allowed_hosts"
        return fail("requests to host.docker.internal are refused", advice)
    return ok("requests to host.docker.internal are let in")


def container(facts: Facts) -> Finding:
    """Tell whether a container on this machine reaches the daemon."""
    if facts.container is None:
        return skip("the daemon does not answer")
    if facts.container == "no docker":
        return skip("no Docker runs here")
    if facts.container == "no image":
        return skip("no image with curl or wget here; `docker pull busybox` brings one")
    if facts.container:
        return ok("a container reached the daemon through host.docker.internal")
    advice = (
        "on Linux a container cannot reach 127.0.0.1: run it with --network host"
        if facts.platform != "darwin"
        else "Docker Desktop and OrbStack forward host.docker.internal; is another runtime in use?"
    )
    return warn(f"a container did not reach the daemon: {facts.container_says}", advice)
