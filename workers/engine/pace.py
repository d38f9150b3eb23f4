"""Count how fast a worker's rows get their tokens; on the HTTP thread, so that it costs the engine's nothing."""

from mlxd.protocol import timing
from mlxd.protocol.timing import Tally


class Pace:
    """Count how fast the rows of this worker get their tokens, as the HTTP thread sees it."""

    def __init__(self) -> None:
        self.first_token = Tally(timing.FIRST_TOKEN)
        """From a row's submission."""
        self.inter_token = Tally(timing.INTER_TOKEN)
