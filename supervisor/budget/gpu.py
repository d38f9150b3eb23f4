"""Ask Metal how much memory the GPU may use, in a process of its own: whoever asks keeps a context of the GPU's."""

import logging
import subprocess
import sys

logger = logging.getLogger("mlxd.gpu")

ASK = """
import ctypes

# A tool without windows finds no device unless CoreGraphics is there (MTLCreateSystemDefaultDevice, Discussion).
ctypes.CDLL("/System/Library/Frameworks/CoreGraphics.framework/CoreGraphics")
metal = ctypes.CDLL("/System/Library/Frameworks/Metal.framework/Metal")
objc = ctypes.CDLL("/usr/lib/libobjc.dylib")
create = ctypes.CFUNCTYPE(ctypes.c_void_p)(("MTLCreateSystemDefaultDevice", metal))
select = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_char_p)(("sel_registerName", objc))
send = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p, ctypes.c_void_p)(("objc_msgSend", objc))
device = create()
print(send(device, select(b"recommendedMaxWorkingSetSize")) if device else 0)
"""
_TIMEOUT_S = 5.0


def recommended_bytes(python: str = sys.executable) -> int | None:
    """Return what Metal recommends for all processes together; None where it does not say."""
    try:
        done = subprocess.run(
            [python, "-I", "-S", "-c", ASK], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=_TIMEOUT_S,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        logger.warning("Metal was not asked error=%r", str(error))
        return None
    told = done.stdout.strip()
    if done.returncode or not told.isdecimal():
        logger.warning("Metal does not say what the GPU may use error=%r", done.stderr[-500:])
        return None
    return int(told) or None
