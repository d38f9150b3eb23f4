"""Write vectors the ways clients ask for."""

import base64

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]


def cut(vector: Vector, dimensions: int | None) -> Vector:
    """Return the first numbers, again of length one."""
    if dimensions is None or dimensions == len(vector):
        return vector
    short = vector[:dimensions]
    return short / max(float(np.linalg.norm(short)), 1e-12)


def as_base64(vector: Vector) -> str:
    """Return little-endian float32 in base64."""
    return base64.b64encode(np.ascontiguousarray(vector, dtype="<f4").tobytes()).decode()
