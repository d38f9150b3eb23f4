"""Tell the time that a test says it is."""


class FakeClock:
    """Obey `supervisor.clock.Clock`; time moves only by `advance`."""

    def __init__(self, monotonic: float = 1000.0, wall: float = 1_800_000_000.0) -> None:
        self._monotonic = monotonic
        self._wall = wall

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""
        return self._monotonic

    def wall(self) -> float:
        """Return Unix seconds."""
        return self._wall

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._monotonic += seconds
        self._wall += seconds
