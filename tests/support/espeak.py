"""Have espeak-ng say something, by the library that comes as a Python package: no program has to be installed."""

import ctypes
import functools
from typing import Any

import espeakng_loader
import numpy as np
from numpy.typing import NDArray

_SYNCHRONOUS = 2
_UTF8 = 1
_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


@functools.cache
def _library() -> tuple[ctypes.CDLL, int]:
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    data = espeakng_loader.get_data_path().encode()
    rate = library.espeak_Initialize(_SYNCHRONOUS, 0, data, 0)
    assert rate > 0, "espeak-ng did not start"
    return library, rate


@functools.cache
def say(text: str) -> tuple[NDArray[np.float32], int]:
    """Return the samples of a text read aloud, and their rate."""
    library, rate = _library()
    heard: list[NDArray[np.int16]] = []

    def take(samples: Any, count: int, events: object) -> int:
        if samples and count:
            heard.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    callback = _CALLBACK(take)
    library.espeak_SetSynthCallback(callback)
    content = text.encode()
    assert library.espeak_Synth(content, len(content) + 1, 0, 0, 0, _UTF8, None, None) == 0
    library.espeak_Synchronize()
    return (np.concatenate(heard) / 32768).astype(np.float32), rate
