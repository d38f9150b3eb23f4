"""A worker may open as many files as its supervisor, whatever its libraries think of that."""

import subprocess
import sys

CODE = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (1000, 3000))
from mlxd.workers import open_files
open_files.keep()
import mlx_lm.utils
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
print(*resource.getrlimit(resource.RLIMIT_CORE))
"""


def test_a_library_changes_no_limit_of_files() -> None:
    """Regression: with fewer than 4096 allowed no text model could be loaded, and with more a worker lost them."""
    answer = subprocess.run(
        [sys.executable, "-P", "-c", CODE], capture_output=True, text=True, timeout=120
    )
    assert answer.stdout.split() == ["1000", "3000", "0", "0"], answer.stderr
