"""Name what all of this folder hands around."""

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
"""One channel, -1 to 1."""

CODECS = "mlxd[audio-full]"
"""The extra with the codecs that libsndfile has not."""
