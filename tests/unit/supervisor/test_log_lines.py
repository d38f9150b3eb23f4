"""The daemon's log: one line per event, key=value."""

import logging
import subprocess
import sys

import pytest
from support import source

from mlxd.supervisor.log_lines import LineFormatter
from mlxd.supervisor.request_trace import Trace


def test_a_line_names_time_level_and_source() -> None:
    record = logging.LogRecord("mlxd.pool", logging.WARNING, "f", 1, "model=%s gone", ("m",), None)
    record.created, record.msecs = 1_700_000_000.0, 7.0
    line = LineFormatter().format(record)
    assert line == "time=2023-11-14T22:13:20.007Z level=warning source=mlxd.pool model=m gone"


@pytest.mark.parametrize("path", ["/a b", "/a\nb", "/a\u2028b", '/"', "/" + "x" * 999])
def test_what_a_client_sent_stays_in_one_word_of_one_line(path: str) -> None:
    line = Trace("id").line("GET", path)
    assert len(line.splitlines()) == 1
    assert len(line) < 400
    assert line.startswith("id=id method=GET path=")


def test_a_spawned_worker_that_runs_the_daemons_module_again_loads_nothing_but_the_standard_library() -> (
    None
):
    tree = source.parse(source.ROOT / "supervisor" / "daemon.py")
    assert all(source.is_stdlib(module) for module in source.top_level_imports(tree))
    code = "import sys, mlxd.supervisor.daemon; print(*[m for m in sys.modules if m.startswith('mlxd.')])"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert set(done.stdout.split()) <= {"mlxd.supervisor", "mlxd.supervisor.daemon"}
