"""Steer the page of operators, which a JavaScript engine runs against a real daemon."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.deadline import until

from mlxd.supervisor.web import page

ENGINE = shutil.which("node")
_SCRIPT = Path(__file__).with_suffix(".mjs")
_WITHIN_S = 60.0

Seen = dict[str, Any]


class Page:
    """Be the reader of an open page."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def do(self, deed: str, **more: str) -> Seen:
        """Do something and return what the page shows right then."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"deed": deed, **more}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the page's script has ended"
        seen: Seen = json.loads(line)
        return seen

    def wait(self, what: str, holds: Callable[[Seen], object]) -> Seen:
        """Return what the page shows once this holds."""

        def look() -> Seen | None:
            seen = self.do("show")
            return seen if holds(seen) else None

        found = until(look, within=_WITHIN_S, what=what)
        assert found is not None
        return found


@contextmanager
def opened(url: str) -> Iterator[Page]:
    """Open the page of the daemon at this address."""
    assert ENGINE is not None
    process = subprocess.Popen(
        [ENGINE, str(_SCRIPT), str(page.FOLDER), url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield Page(process)
        finally:
            process.kill()
