"""Say what a caller's media may take."""

import math
from dataclasses import dataclass

from mlxd.protocol.spec import WorkerSpec

_REQUEST_BYTES = 64_000_000
_FILM_PACKETS = 1 << 16
_FASTEST_FILM = 60
"""Frames of a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaLimits:
    """Bound every file, and all files of a request."""

    fetch_urls: bool = False
    """Whether addresses are fetched at all."""
    file_bytes: int = 20_000_000
    request_bytes: int = _REQUEST_BYTES
    pixels: int = 40_000_000
    """Of a picture as it was sent; more are not even decoded."""
    seconds: float = 20.0
    """For fetching one file, redirects included."""
    film_seconds: float = 600.0
    """A film may last."""
    film_pixels: int = 4096 * 2304
    """Of a film's frame: decoders keep many at once."""
    film_packets: int = _FILM_PACKETS
    """Frames of a film as it was sent."""
    film_frames: int = 256
    """Frames of a film that a model is shown."""
    film_work: float = 30.0
    """Seconds that decoding one film may take."""

    @classmethod
    def of(cls, spec: WorkerSpec) -> "MediaLimits":
        """Return what the settings say."""
        return cls(
            fetch_urls=spec.fetch_urls,
            file_bytes=spec.largest_image,
            request_bytes=max(spec.largest_image, _REQUEST_BYTES),
            pixels=spec.most_pixels,
            seconds=spec.fetch_timeout,
            film_seconds=spec.longest_film,
            film_packets=max(_FILM_PACKETS, math.ceil(spec.longest_film * _FASTEST_FILM)),
            film_frames=spec.most_frames,
        )
