"""Run the daemon as a LaunchAgent.

Three of launchd's defaults cost more than they look. It kills a job five seconds after SIGTERM, and a process killed
while it holds wired memory may take that along until the next boot: ExitTimeOut. It throttles what does not say
otherwise, to an eighth of the speed: ProcessType. And it knows no Homebrew: PATH.
"""

import plistlib
import re
import subprocess
import time
from pathlib import Path

from mlxd.supervisor.service.control import ServiceError, State, call, demand
from mlxd.supervisor.service.plan import (
    LABEL,
    MOST_OPEN_FILES,
    OPEN_FILES,
    RESTART_AFTER_S,
    Service,
)

LAUNCHCTL = "/bin/launchctl"
_SETTLING = (5, 37)
"""`bootstrap` for seconds after a `bootout`, which does not wait, and of a service that is there: EIO, EALREADY."""
_SETTLED_S = 15.0
"""Three times what was measured (headroomlabs-ai/headroom#1289)."""
_LOOK_AGAIN_S = 0.25
_UNKNOWN = (3, 113)
"""What `bootout` says of a service that is not there: ESRCH, and launchd's own."""
_IN_PROGRESS = 36
"""`bootout` does not wait for a service that takes its time: EINPROGRESS."""
_FACT = re.compile(r"^\t(?P<name>[a-z ]+) = (?P<value>.*)$", re.MULTILINE)


class Launchd:
    """Call launchctl for one agent of this user."""

    kind = "launchd"

    def __init__(self, program: str, home: Path, uid: int) -> None:
        self.file = home / "Library/LaunchAgents" / f"{LABEL}.plist"
        self._program = program
        self._uid = uid

    def text(self, service: Service) -> bytes:
        """Return the property list."""
        return plistlib.dumps(agent(service))

    def same(self, one: bytes, other: bytes) -> bool:
        """Tell whether two property lists differ at most in the program's options."""
        return _without_options(one) == _without_options(other)

    def state(self) -> State:
        """Read `launchctl print`."""
        for domain in self._domains():
            done = call([self._program, "print", f"{domain}/{LABEL}"])
            if done.returncode == 0:
                return state_of(done.stdout)
        return State(loaded=False)

    def install(self) -> None:
        """Load the agent, which starts it; a user who is logged in over SSH alone has no graphical session."""
        first, second = self._domains()
        demand([self._program, "enable", f"{first}/{LABEL}"])
        done = self._bootstrap(first)
        if done is None:
            return
        said = (done.stderr or done.stdout).strip()
        if done.returncode in _SETTLING and call([self._program, "print", first]).returncode == 0:
            # Loaded beside that session it would be there twice at the next login.
            raise ServiceError(f"launchctl bootstrap {first}: {said}")
        try:
            demand([self._program, "bootstrap", second, str(self.file)])
        except ServiceError as error:
            raise ServiceError(f"{said}; {error}" if said else str(error)) from None

    def start(self) -> None:
        """Start it; one that a forced stop has unloaded is loaded again."""
        domain = self._domain()
        if domain is None:
            self.install()
        else:
            demand([self._program, "kickstart", f"{domain}/{LABEL}"])

    def stop(self) -> None:
        """Send SIGTERM: the daemon then leaves with 0, and that is when KeepAlive leaves it alone."""
        if domain := self._domain():
            done = call([self._program, "kill", "SIGTERM", f"{domain}/{LABEL}"])
            if done.returncode not in (0, *_UNKNOWN):
                raise ServiceError(f"launchctl kill: {(done.stderr or done.stdout).strip()}")

    def forget(self) -> None:
        """Unload it, with SIGTERM and all the time it may take."""
        if domain := self._domain():
            done = call([self._program, "bootout", f"{domain}/{LABEL}"])
            # Darwin 27 says EIO of a service that has gone meanwhile (jdx/mise#10965).
            if done.returncode not in (0, _IN_PROGRESS, *_UNKNOWN) and self._domain():
                raise ServiceError(f"launchctl bootout: {(done.stderr or done.stdout).strip()}")

    def _bootstrap(self, domain: str) -> "subprocess.CompletedProcess[str] | None":
        """Load the agent once launchd is done with an earlier one of its name; return why it is not loaded."""
        deadline = time.monotonic() + _SETTLED_S
        while True:
            done = call([self._program, "bootstrap", domain, str(self.file)])
            if done.returncode == 0:
                return None
            if done.returncode not in _SETTLING:
                return done
            if self._domain():
                return None
            if time.monotonic() > deadline:
                return done
            time.sleep(_LOOK_AGAIN_S)

    def _domains(self) -> tuple[str, str]:
        return f"gui/{self._uid}", f"user/{self._uid}"

    def _domain(self) -> str | None:
        for domain in self._domains():
            if call([self._program, "print", f"{domain}/{LABEL}"]).returncode == 0:
                return domain
        return None


def agent(service: Service) -> dict[str, object]:
    """Return the agent's property list as launchd.plist(5) describes it."""
    return {
        "Label": LABEL,
        "ProgramArguments": list(service.program),
        "EnvironmentVariables": dict(service.environment),
        "WorkingDirectory": str(service.folder),
        "StandardOutPath": str(service.log),
        "StandardErrorPath": str(service.log),
        "Umask": 0o077,
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": RESTART_AFTER_S,
        "ExitTimeOut": service.exit_timeout,
        "ProcessType": "Interactive",
        "LimitLoadToSessionType": ["Aqua", "Background"],
        # A core of a process that holds a model would fill the disk.
        "SoftResourceLimits": {"NumberOfFiles": OPEN_FILES, "Core": 0},
        "HardResourceLimits": {"NumberOfFiles": MOST_OPEN_FILES},
    }


def _without_options(text: bytes) -> object:
    try:
        read = plistlib.loads(text)
        return {**read, "ProgramArguments": read["ProgramArguments"][:1]}
    except (plistlib.InvalidFileException, ValueError, KeyError, TypeError):
        return text


def state_of(text: str) -> State:
    """Read what `launchctl print` says of a service; its words are for people and differ between releases."""
    facts = {found["name"]: found["value"] for found in _FACT.finditer(text)}
    pid = facts.get("pid", "")
    seconds = facts.get("exit timeout", "")
    kind = facts.get("spawn type") or facts.get("process type")
    return State(
        loaded=True,
        running=facts.get("state") == "running",
        pid=int(pid) if pid.isdecimal() else None,
        process_type=kind.split(" ")[0].lower() if kind else None,
        exit_timeout=int(seconds) if seconds.isdecimal() else None,
    )
