"""Count room for workers in the two things that bound it: slots and bytes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Room:
    """Hold a number of slots and of bytes; negative where more is promised than there is."""

    slots: int
    bytes: int

    def __add__(self, other: "Room") -> "Room":
        return Room(self.slots + other.slots, self.bytes + other.bytes)

    def __sub__(self, other: "Room") -> "Room":
        return Room(self.slots - other.slots, self.bytes - other.bytes)

    def fits_in(self, other: "Room") -> bool:
        """Tell whether this much is there."""
        return self.slots <= other.slots and self.bytes <= other.bytes

    def beyond(self, other: "Room") -> "Room":
        """Return what this needs more than `other` holds."""
        return Room(max(0, self.slots - other.slots), max(0, self.bytes - other.bytes))
