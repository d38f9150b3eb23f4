"""Decode frames of a film that a stranger sent: known containers and codecs only, with bounds on all it may take."""

import io
import math
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlxd.workers.media import tables
from mlxd.workers.media.limits import MediaLimits
from mlxd.workers.media.picture import SEEN_PIXELS, BadPicture, check_size

EXTRA = "mlxd[video]"
"""The extra with the codecs."""
_DEMUXERS = {"mp4": "mov", "webm": "matroska", "avi": "avi"}
"""Named, so that no playlist or other format that opens files and addresses is ever tried."""
_ACCEPTED = "mp4, mov, webm, mkv or avi with H.264, HEVC, VP8, VP9, AV1 or MPEG-4"
_CODECS = frozenset({"h264", "hevc", "vp8", "vp9", "av1", "mpeg4"})
_DECODERS = "h264,hevc,vp8,vp9,libvpx,libvpx-vp9,av1,libdav1d,mpeg4"
_PAIR = 2
"""Frames that models look at together."""
_SLACK = 0.01
"""Of a pair of frames, for times that were rounded."""


class BadFilm(ValueError):
    """Say why a file is no film that can be shown to a model."""


class NoCodecs(Exception):
    """Report that the library which decodes films is not installed."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Say how many frames of a film are shown."""

    fps: float
    least: int
    most: int


@dataclass(frozen=True, slots=True)
class Film:
    """Hold what a model is shown of a film."""

    frames: Any
    """Bytes by frame, colour, row and column."""
    times: tuple[float, ...]
    """Seconds into the film of each frame."""
    seconds: float
    """It lasts."""

    @property
    def pixels(self) -> int:
        """Return the pixels of all frames."""
        count, _, height, width = self.frames.shape
        return int(count * height * width)

    @property
    def fps(self) -> float:
        """Return how many frames of a second there are, on average."""
        return len(self.times) / self.seconds


def demuxer(content: bytes) -> str:
    """Return what reads a film, by its first bytes; raises BadFilm where nothing does."""
    head = content[:16]
    if head[4:8] == b"ftyp":
        if tables.too_long(content):
            raise BadFilm("its tables say that it has more frames and sound than are decoded")
        return _DEMUXERS["mp4"]
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return _DEMUXERS["webm"]
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return _DEMUXERS["avi"]
    raise BadFilm(f"expected a film ({_ACCEPTED}), and it is none")


def chosen(times: Sequence[float], pace: Pace) -> list[int]:
    """Return which frames are shown, evenly from the first to the last, an even number where there are as many."""
    total = len(times)
    span = times[-1] - times[0]
    least = math.ceil(pace.least / _PAIR) * _PAIR
    count = min(max(lasting(times) * pace.fps, least), pace.most, total)
    count = max(math.floor(count / _PAIR + _SLACK) * _PAIR, 1)
    wanted = (times[0] + span * at / max(count - 1, 1) for at in range(count))
    return sorted({_nearest(times, moment) for moment in wanted})


def lasting(times: Sequence[float]) -> float:
    """Return for how many seconds frames are seen, of which the last is seen as long as the others."""
    total = len(times)
    return (times[-1] - times[0]) * total / (total - 1) if total > 1 else 1.0


def _nearest(times: Sequence[float], moment: float) -> int:
    after = min(bisect_left(times, moment), len(times) - 1)
    before = max(after - 1, 0)
    return before if moment - times[before] < times[after] - moment else after


def decode(
    content: bytes, limits: MediaLimits, pace: Pace, wanted_pixels: int | None = None
) -> Film:
    """Return upright RGB frames of a film; raises BadFilm, and NoCodecs where nothing could decode one."""
    try:
        import av
    except ModuleNotFoundError:
        raise NoCodecs from None
    try:
        return _Reel(av, content, limits).shown(pace, wanted_pixels)
    except BadFilm:
        raise
    except Exception as error:  # whatever a damaged file makes a decoder raise
        if isinstance(error, MemoryError) and not isinstance(error, av.FFmpegError):
            raise  # FFmpeg's own is about a length that a file claims
        reason = f"not a readable film ({_ACCEPTED}): {type(error).__name__}"
        raise BadFilm(reason) from error


class _Reel:
    """Read one film, twice: its packets tell what there is, and then only what is wanted is decoded."""

    def __init__(self, av: Any, content: bytes, limits: MediaLimits) -> None:
        self._av, self._content, self._limits = av, content, limits
        self._demuxer = demuxer(content)
        self._deadline = time.monotonic() + limits.film_work

    def shown(self, pace: Pace, wanted_pixels: int | None) -> Film:
        """Return the frames that are shown."""
        with self._opened() as film:
            stream = self._stream(film)
            moments = self._moments(film, stream)
            base = float(stream.time_base)
        times = [(moment - moments[0]) * base for moment in moments]
        most = min(pace.most, self._limits.film_frames)
        wanted = [moments[at] for at in chosen(times, Pace(pace.fps, pace.least, most))]
        each = min(wanted_pixels or SEEN_PIXELS, SEEN_PIXELS // len(wanted))
        with self._opened() as film:
            stream = self._stream(film)
            found = list(self._frames(film, stream, moments, wanted, each))
        if len(found) < len(wanted):
            raise BadFilm("some of its frames cannot be decoded")
        frames = np.stack([frame for _, frame in found]).transpose(0, 3, 1, 2)
        shown = tuple((at - moments[0]) * base for at, _ in found)
        return Film(np.ascontiguousarray(frames), shown, lasting(times))

    def _opened(self) -> Any:
        bounds = {"max_pixels": str(self._limits.film_pixels)}
        return self._av.open(
            io.BytesIO(self._content),
            format=self._demuxer,
            container_options={"codec_whitelist": _DECODERS, "protocol_whitelist": "none"},
            stream_options=[bounds],
        )

    def _stream(self, film: Any) -> Any:
        """Return the film's stream, with what it says of itself checked and its decoder not begun."""
        if not film.streams.video:
            raise BadFilm("there are no pictures in it")
        stream = film.streams.video[0]
        context = stream.codec_context
        if context is None or context.codec.canonical_name not in _CODECS:
            name = "unknown" if context is None else context.codec.canonical_name
            raise BadFilm(f"expected {_ACCEPTED}, got the codec {name}")
        context.options = {"max_pixels": str(self._limits.film_pixels)}
        self._check_size(context.width, context.height)
        return stream

    def _check_size(self, width: int, height: int) -> None:
        if min(width, height) < 1:  # what the decoder says of a size that it was told to refuse
            raise BadFilm(f"expected frames of at most {self._limits.film_pixels} pixels")
        try:
            check_size(width, height, self._limits.film_pixels)
        except BadPicture as bad:
            raise BadFilm(str(bad)) from bad

    def _check_time(self) -> None:
        if time.monotonic() > self._deadline:
            raise BadFilm(f"it cannot be decoded within {self._limits.film_work:g} s")

    def _moments(self, film: Any, stream: Any) -> list[int]:
        """Return when each frame is shown, in the stream's own time."""
        found: list[int] = []
        base, most = float(stream.time_base), self._limits.film_seconds
        for packet in film.demux(stream):
            moment = packet.dts if packet.pts is None else packet.pts
            if not packet.size or packet.is_discard:
                continue
            if packet.is_corrupt:
                raise BadFilm("it is damaged")
            found.append(len(found) if moment is None else moment)
            if abs(found[-1] - found[0]) * base > most:
                raise BadFilm(f"expected at most {most:g} s, and it lasts longer")
            if len(found) > self._limits.film_packets:
                raise BadFilm(f"expected at most {self._limits.film_packets} frames, got more")
            self._check_time()
        found = sorted(set(found))
        if not found or len(found) < 0.9 * stream.frames or _ends_early(film, found, base):
            raise BadFilm("it is cut short")
        return found

    def _frames(
        self, film: Any, stream: Any, moments: Sequence[int], wanted: Sequence[int], pixels: int
    ) -> Iterator[tuple[int, Any]]:
        """Yield the wanted frames, each scaled to no more than so many pixels."""
        left, size = list(reversed(wanted)), None
        for at, frame in enumerate(film.decode(stream)):
            self._check_time()
            self._check_size(frame.width, frame.height)
            if frame.is_corrupt:
                raise BadFilm("it is damaged")
            moment = moments[min(at, len(moments) - 1)] if frame.pts is None else frame.pts
            if moment < left[-1]:
                continue
            size = size or _scaled(frame.width, frame.height, pixels)
            shown = frame.to_ndarray(
                format="rgb24", width=size[0], height=size[1], interpolation="BICUBIC"
            )
            yield moment, np.rot90(shown, round(frame.rotation / 90))
            while left and left[-1] <= moment:
                left.pop()
            if not left:
                return


def _ends_early(film: Any, moments: Sequence[int], base: float) -> bool:
    """Tell whether a film that is nothing but pictures says of itself that it lasts longer than it does."""
    if len(film.streams) > 1 or not film.duration:
        return False
    return bool(film.duration / 1e6 > 1.25 * (moments[-1] - moments[0]) * base + 0.5)


def _scaled(width: int, height: int, wanted: int) -> tuple[int, int]:
    scale = min(math.sqrt(wanted / (width * height)), 1.0)
    return max(int(width * scale), 1), max(int(height * scale), 1)
