"""Judge how the operating system runs the daemon."""

from mlxd.supervisor.doctor.facts import Facts
from mlxd.supervisor.doctor.finding import Finding, fail, ok, skip, warn
from mlxd.supervisor.service.plan import exit_timeout

_AGAIN = "`mlxctl install` writes it anew"
_FAST = "interactive"


def service(facts: Facts) -> Finding:
    """Tell whether the daemon comes back after a crash or a login, and as it is configured now."""
    found = facts.service
    if found is None:
        return skip("neither launchd nor systemd answers")
    if not found.installed:
        if found.state.loaded:
            return fail(f"{found.kind} runs mlxd, but {found.file} is gone", _AGAIN)
        return ok("not installed; `mlxctl install` has it started at every login")
    if not found.state.loaded:
        return fail(f"{found.file} is there, but {found.kind} does not know it", _AGAIN)
    if not found.is_current:
        return warn(f"{found.file} is not what this mlxd and this shell would write", _AGAIN)
    if facts.pid and found.state.pid and found.state.pid != facts.pid:
        advice = "`mlxctl stop`, then `mlxctl start`"
        return warn(f"pid {facts.pid} answers, but {found.kind} runs {found.state.pid}", advice)
    return ok(f"{found.kind}, {found.file}")


def launchd(facts: Facts) -> Finding:
    """Tell whether the daemon is throttled, and whether its workers get the time to free their memory."""
    found = facts.service
    if found is None or not found.installed:
        return skip("not installed as a service")
    wrong = []
    kind = found.state.process_type or found.file_process_type
    if found.kind == "launchd" and kind is not None and kind.lower() != _FAST:
        wrong.append(f"ProcessType is {kind}, up to 8 times slower")
    given = found.state.exit_timeout or found.file_exit_timeout
    needed = exit_timeout(facts.settings) if facts.settings else 0
    if given is not None and given < needed:
        wrong.append(f"it is killed after {given} s, and may need {needed} s to leave")
    if wrong:
        return fail("; ".join(wrong), _AGAIN)
    seen = "as it sees them" if found.state.exit_timeout else "as the file has them"
    priority = f"ProcessType {kind}, " if found.kind == "launchd" else ""
    return ok(f"{priority}{given} s to leave, {seen}")
