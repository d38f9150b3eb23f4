"""The daemon's log: one line per event, key=value."""

import asyncio
import logging
import subprocess
import sys
from typing import Any

import pytest
from support import source

from mlxd.supervisor.front.request_trace import Trace
from mlxd.supervisor.logs.log_lines import LineFormatter, is_news


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


async def test_a_read_cancelled_as_bytes_arrive_is_no_news_and_every_other_failure_is() -> None:
    loop = asyncio.get_running_loop()
    told: list[tuple[dict[str, Any], bool]] = []

    def note(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context["exception"]
        found = (type(error), error, error.__traceback__)
        message = "\n".join([context["message"], f"handle: {context['handle']!r}"])
        record = logging.LogRecord("asyncio", logging.ERROR, "f", 1, message, (), found)
        told.append((context, is_news(record)))

    loop.set_exception_handler(note)
    cancelled: asyncio.Future[None] = loop.create_future()
    loop.call_soon(cancelled.set_result, None)
    cancelled.cancel()
    loop.call_soon([].pop)
    await asyncio.sleep(0)
    assert [news for _, news in told] == [False, True]


def test_a_spawned_worker_that_runs_the_daemons_module_again_loads_nothing_but_the_standard_library() -> (
    None
):
    tree = source.parse(source.ROOT / "supervisor" / "daemon.py")
    assert all(source.is_stdlib(module) for module in source.top_level_imports(tree))
    code = "import sys, mlxd.supervisor.daemon; print(*[m for m in sys.modules if m.startswith('mlxd.')])"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert set(done.stdout.split()) <= {"mlxd.supervisor", "mlxd.supervisor.daemon"}
