"""launchd is asked again for as long as it is not done with the agent that it was told to let go of."""

import os
from pathlib import Path

import pytest

from mlxd.supervisor.service import launchd
from mlxd.supervisor.service.control import ServiceError
from mlxd.supervisor.service.launchd import Launchd

GUI, USER = f"gui/{os.getuid()}", f"user/{os.getuid()}"

LAUNCHCTL = f"""#!/bin/sh
[ "$1" = print ] || echo "$*" >> "$0.calls"
case "$1 $2" in
"bootstrap {GUI}")
    left=$(cat "$0.refusals"); [ "$left" = 0 ] && {{ echo {GUI} > "$0.loaded"; exit 0; }}
    echo $((left - 1)) > "$0.refusals"; read code text < "$0.refusal"
    echo "Bootstrap failed: $code: $text" >&2; exit "$code";;
"bootstrap {USER}") echo {USER} > "$0.loaded";;
"print {GUI}") [ -e "$0.session" ] || exit 112;;
print*) [ "$2" = "$(cat "$0.loaded" 2> /dev/null)/mlxd.daemon" ] || exit 113;;
bootout*) rm -f "$0.loaded"; exit 5;;
esac
"""


class Tool:
    """Write a launchctl that refuses the first calls, and read what it was asked for."""

    def __init__(self, folder: Path, *, code: str, refusals: int, session: bool = True) -> None:
        self.path = folder / "launchctl"
        self.path.write_text(LAUNCHCTL)
        self.path.chmod(0o755)
        self._beside("refusal").write_text(f"{code} as launchctl says it\n")
        self._beside("refusals").write_text(f"{refusals}\n")
        if session:
            self._beside("session").touch()
        self.agent = Launchd(str(self.path), folder, os.getuid())

    def _beside(self, name: str) -> Path:
        return self.path.with_name(f"launchctl.{name}")

    def bootstraps(self) -> list[str]:
        """Return the domains that were asked to load the agent, in order."""
        calls = [line.split() for line in self._beside("calls").read_text().splitlines()]
        return [words[1] for words in calls if words[0] == "bootstrap"]


@pytest.fixture(autouse=True)
def in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launchd, "_LOOK_AGAIN_S", 0.01)


@pytest.mark.parametrize("code", ["5", "37"])
def test_an_agent_that_launchd_still_lets_go_of_is_loaded_once_it_has(
    tmp_path: Path, code: str
) -> None:
    # `bootout` returns at once, and for some five seconds each `bootstrap` fails: headroomlabs-ai/headroom#1289.
    tool = Tool(tmp_path, code=code, refusals=3)
    tool.agent.install()
    assert tool.bootstraps() == [GUI] * 4
    assert tool.agent.state().loaded


def test_an_agent_that_cannot_be_loaded_is_not_loaded_beside_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launchd, "_SETTLED_S", 0.1)
    tool = Tool(tmp_path, code="5", refusals=10_000)
    with pytest.raises(ServiceError, match="Bootstrap failed: 5"):
        tool.agent.install()
    assert set(tool.bootstraps()) == {GUI}


@pytest.mark.parametrize("code", ["125", "112"])
def test_without_a_graphical_session_the_users_own_domain_takes_it_at_once(
    tmp_path: Path, code: str
) -> None:
    tool = Tool(tmp_path, code=code, refusals=10_000, session=False)
    tool.agent.install()
    assert tool.bootstraps() == [GUI, USER]
    assert tool.agent.state().loaded


def test_an_agent_that_went_before_it_was_told_to_is_forgotten(tmp_path: Path) -> None:
    tool = Tool(tmp_path, code="5", refusals=0)
    tool.agent.install()
    tool.agent.forget()
    assert not tool.agent.state().loaded
