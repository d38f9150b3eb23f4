"""Hold processes up at a line that they come to by themselves: a test that looks for a state must not miss it."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SITE = """
import fcntl, sys
from importlib.abc import MetaPathFinder

def wait(name):
    with open({folder!r} + "/" + name) as gate:
        fcntl.flock(gate, fcntl.LOCK_SH)

class Imports(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            wait("loading")

if "--multiprocessing-fork" in sys.orig_argv:
    wait("starting")
    sys.meta_path.insert(0, Imports())
"""


class Gates:
    """Stop workers where they start, and where they import the module of a model's architecture."""

    def __init__(self, folder: Path, module: str) -> None:
        self._folder = folder
        folder.mkdir()
        for name in ("starting", "loading"):
            (folder / name).touch()
        site = _SITE.format(folder=str(folder), module=module)
        (folder / "sitecustomize.py").write_text(site, encoding="utf-8")

    @property
    def env(self) -> dict[str, str]:
        """Return what the daemon's environment needs for it."""
        return {"PYTHONPATH": str(self._folder)}

    @contextmanager
    def shut(self, name: str) -> Iterator[None]:
        """Let nobody through `starting` or `loading` while the block lasts."""
        with (self._folder / name).open() as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            yield
