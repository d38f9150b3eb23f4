"""Find OpenBLAS and have every process that a benchmark starts use it: MLX's own CPU matmul hides all overheads."""

import os
import re
import subprocess

_LIBRARY = re.compile(r"=> (\S*/libopenblas\.so\S*)")


def preload() -> str:
    """Preload OpenBLAS in all children from now on; return what was found, for the report."""
    try:
        known = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True).stdout
    except OSError:
        return "no ldconfig here: MLX runs as it is"
    found = _LIBRARY.search(known)
    if found is None:
        return "OpenBLAS is absent (apt-get install libopenblas0-pthread): overheads hide behind slow matmuls"
    os.environ["LD_PRELOAD"] = found[1]
    return f"OpenBLAS preloaded for all: {found[1]}"
