"""Run the daemon as a user unit of systemd."""

from pathlib import Path

from mlxd.supervisor.service.control import State, call, demand
from mlxd.supervisor.service.plan import MOST_OPEN_FILES, RESTART_AFTER_S, UNIT, Service

SYSTEMCTL = "/usr/bin/systemctl"
_ASKED = ("UnitFileState", "ActiveState", "MainPID", "TimeoutStopUSec")
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
_RUNNING = ("active", "activating", "deactivating", "reloading")
_MISUSED = 2
"""Exit code of a daemon whose configuration is wrong: starting it again would change nothing."""


class Systemd:
    """Call systemctl for one unit of this user."""

    kind = "systemd"

    def __init__(self, program: str, configuration: Path) -> None:
        self.file = configuration / "systemd/user" / UNIT
        self._line = [program, "--user"]

    def text(self, service: Service) -> bytes:
        """Return the unit."""
        return unit(service).encode()

    def same(self, one: bytes, other: bytes) -> bool:
        """Tell whether two units differ at most in the program's options."""
        return _without_options(one) == _without_options(other)

    def state(self) -> State:
        """Read `systemctl show`."""
        done = call([*self._line, "show", UNIT, *(f"--property={name}" for name in _ASKED)])
        return state_of(done.stdout) if done.returncode == 0 else State(loaded=False)

    def install(self) -> None:
        """Have the unit read, start it, and start it with every session."""
        demand([*self._line, "daemon-reload"])
        demand([*self._line, "enable", UNIT])
        demand([*self._line, "start", UNIT])

    def start(self) -> None:
        """Start it; one that a forced stop has taken out of the sessions is put back."""
        if self.state().loaded:
            demand([*self._line, "start", UNIT])
        else:
            self.install()

    def stop(self) -> None:
        """Send SIGTERM to the daemon; it sees its workers off itself."""
        demand([*self._line, "stop", "--no-block", UNIT])

    def forget(self) -> None:
        """Stop it and take it out of the sessions to come."""
        demand([*self._line, "disable", UNIT])
        demand([*self._line, "stop", "--no-block", UNIT])


def unit(service: Service) -> str:
    """Return the unit as systemd.service(5) describes it."""
    variables = "".join(
        f"Environment={_quoted(f'{name}={value}')}\n" for name, value in service.environment.items()
    )
    log = _percent(str(service.log))
    return f"""\
[Unit]
Description=mlxd, a local inference daemon

[Service]
Type=exec
ExecStart={" ".join(_quoted(word).replace("$", "$$") for word in service.program)}
WorkingDirectory={_percent(str(service.folder))}
{variables}StandardOutput=append:{log}
StandardError=append:{log}
UMask=0077
KillMode=mixed
TimeoutStopSec={service.exit_timeout}
Restart=on-failure
RestartSec={RESTART_AFTER_S}
RestartPreventExitStatus={_MISUSED}
LimitNOFILE={MOST_OPEN_FILES}
LimitCORE=0

[Install]
WantedBy=default.target
"""


def _without_options(text: bytes) -> list[bytes]:
    lines = text.splitlines()
    return [line.split(b" ")[0] if line.startswith(b"ExecStart=") else line for line in lines]


def _percent(text: str) -> str:
    return text.replace("%", "%%")


def _quoted(text: str) -> str:
    """Return one word of a unit, whatever stands in it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{_percent(escaped)}"'


def state_of(text: str) -> State:
    """Read what `systemctl show` says of a unit."""
    facts = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    pid = int(facts.get("MainPID") or 0)
    return State(
        loaded=facts.get("UnitFileState") == "enabled",
        running=facts.get("ActiveState") in _RUNNING,
        pid=pid or None,
        exit_timeout=_seconds(facts.get("TimeoutStopUSec", "")),
    )


def _seconds(span: str) -> int | None:
    """Read a span such as `2min 15s`; None where there is none."""
    total = 0.0
    for part in span.split():
        number = part.rstrip("abcdefghijklmnopqrstuvwxyz")
        factor = _UNITS.get(part[len(number) :])
        if factor is None or not number.replace(".", "", 1).isdecimal():
            return None
        total += float(number) * factor
    return round(total) if span else None
