"""The page says numbers and reasons as the commands do."""

import json
import subprocess
from typing import Any

import pytest
from support.page import ENGINE

from mlxd.protocol.units import format_size
from mlxd.supervisor.web import page

pytestmark = pytest.mark.skipif(ENGINE is None, reason="no JavaScript engine is installed")


def said(call: str, *arguments: Any) -> Any:
    """Return what a function of the page's words answers, once for each list of arguments."""
    assert ENGINE is not None
    words = (page.FOLDER / "words.js").as_uri()
    script = (
        f"import {{ {call} }} from {json.dumps(words)};"
        f"console.log(JSON.stringify({json.dumps(arguments)}.map((given) => {call}(...given))));"
    )
    done = subprocess.run(
        [ENGINE, "--input-type=module", "-e", script], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def test_a_size_is_written_as_the_commands_write_it() -> None:
    sizes = [0, 1, 999, 1000, 1500, 999_949, 999_951, 7_700_000, 4_610_000_000, 999_960_000_000,
             2_500_000_000_000]  # fmt: skip
    assert said("size", *([size] for size in sizes)) == [format_size(size) for size in sizes]
    assert said("size", [None]) == ["-"]


def test_times_are_told_in_two_units_at_most() -> None:
    assert said("span", [0], [59.9], [60], [3661], [90_000], [-5]) == [
        "0s", "59s", "1m", "1h1m", "1d1h", "0s",
    ]  # fmt: skip
    assert said("ago", [None, 10], [10, 15.5]) == ["-", "5s ago"]


def test_it_says_when_a_model_leaves() -> None:
    ready = {"state": "ready", "active_requests": 0, "expires_at": None, "pinned": False}
    assert said(
        "expiry",
        [ready, 0],
        [ready | {"pinned": True}, 0],
        [ready | {"active_requests": 1}, 0],
        [ready | {"expires_at": 130.0}, 10.0],
    ) == ["never", "pinned", "-", "in 2m"]


def test_it_says_why_somebody_waits() -> None:
    wait = {"position": 1, "of": 2, "bytes_short": 0, "behind": ["a", "b"]}
    loading = {"bytes_read": 25, "bytes_total": 100}
    assert said(
        "reason",
        [{"waits_for": wait | {"cause": "memory", "bytes_short": 2_000_000_000}}],
        [{"waits_for": wait | {"cause": "slots", "behind": []}}],
        [{"waits_for": wait | {"cause": "turn"}}],
        [{"waits_for": wait | {"cause": "leaving"}}],
        [{"waits_for": wait | {"cause": "loading"}, "loading": loading, "eta_seconds": 90}],
        [{"waits_for": wait | {"cause": "loading"}, "loading": None, "eta_seconds": None}],
        [{"waits_for": None}],
    ) == [
        "needs 2.0 GB more, place 1 of 2 behind a, b",
        "needs a place, 1 of 2",
        "is next, place 1 of 2 behind a, b",
        "its last process is not gone yet",
        "loads 25 %, 1m30s to go",
        "loads",
        "-",
    ]
