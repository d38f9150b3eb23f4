"""Films that strangers send are decoded within limits, or refused with a reason."""

import io
import resource
import sys
from dataclasses import replace

import av
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.bad_films import MPEG4, hostile
from support.films import SIZE, film

from mlxd.workers.media.film import BadFilm, NoCodecs, Pace, chosen, decode, lasting
from mlxd.workers.media.limits import MediaLimits

LIMITS = MediaLimits()
PACE = Pace(fps=2.0, least=4, most=768)


def whole(content: bytes) -> list[np.ndarray]:
    with av.open(io.BytesIO(content)) as opened:
        return [frame.to_ndarray(format="rgb24") for frame in opened.decode(video=0)]


@pytest.mark.parametrize(
    "kind",
    [("mp4", "libx264"), MPEG4, ("mov", "libx264"), ("webm", "libvpx"), ("webm", "libvpx-vp9"),
     ("matroska", "libx264"), ("avi", "mpeg4")],
)  # fmt: skip
def test_known_films_become_frames_with_their_times(kind: tuple[str, str]) -> None:
    content = film(kind=kind)
    found = decode(content, LIMITS, PACE)
    assert found.frames.shape == (4, 3, SIZE[1], SIZE[0])
    assert found.times == pytest.approx([0.0, 0.6, 1.3, 1.9], abs=0.002)
    assert found.seconds == pytest.approx(2.0, abs=0.01)
    assert found.fps == pytest.approx(2.0, abs=0.01)
    frames = whole(content)
    for at, shown in zip((0, 6, 13, 19), found.frames, strict=True):
        assert (shown.transpose(1, 2, 0) == frames[at]).all()


@pytest.mark.parametrize("wrong", hostile())
def test_everything_else_is_refused(wrong: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BadFilm) as caught:
        decode(hostile()[wrong], LIMITS, PACE)
    assert "/etc/" not in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_a_damaged_film_is_frames_or_a_reason_and_nothing_else() -> None:
    content, draw = film(), np.random.default_rng(5)
    for _ in range(60):
        damaged = bytearray(content)
        for at in draw.integers(0, len(damaged), 6):
            damaged[at] = draw.integers(0, 256)
        try:
            assert decode(bytes(damaged), LIMITS, PACE).frames.ndim == 4
        except BadFilm as bad:
            assert str(bad)


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        (replace(LIMITS, film_seconds=1.0), "at most 1 s"),
        (replace(LIMITS, film_packets=9), "at most 9 frames"),
        (replace(LIMITS, film_pixels=SIZE[0] * SIZE[1] - 1), "at most 9407 pixels"),
        (replace(LIMITS, film_work=0.0), "within 0 s"),
    ],
)
def test_every_bound_has_its_own_sentence(limits: MediaLimits, why: str) -> None:
    with pytest.raises(BadFilm, match=why):
        decode(film(), limits, PACE)


def test_more_frames_than_are_shown_are_shown_at_a_lower_rate() -> None:
    found = decode(film(frames=60), replace(LIMITS, film_frames=6), PACE)
    assert len(found.times) == 6
    assert (found.times[0], found.times[-1]) == (0.0, 5.9)


def test_frames_are_scaled_to_the_pixels_that_are_wanted() -> None:
    found = decode(film(), LIMITS, PACE, 1200)
    _, _, height, width = found.frames.shape
    assert (width, height) == (40, 30)


def test_a_film_of_one_frame_is_one() -> None:
    assert decode(film(frames=1), LIMITS, PACE).times == (0.0,)


def test_without_the_library_that_decodes_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(NoCodecs):
        decode(film(), LIMITS, PACE)


@given(
    gaps=st.lists(st.floats(0.001, 3.0), min_size=0, max_size=200),
    fps=st.floats(0.05, 60.0),
    least=st.integers(1, 8),
    most=st.integers(8, 64),
)
def test_what_is_shown_spans_the_film_and_keeps_its_bounds(
    gaps: list[float], fps: float, least: int, most: int
) -> None:
    times = np.cumsum([0.0, *gaps]).tolist()
    found = chosen(times, Pace(fps, least, most))
    assert found == sorted(set(found))
    assert 1 <= len(found) <= min(most, len(times))
    assert found[0] == 0
    if len(found) > 1:
        assert found[-1] == len(times) - 1


@given(
    rate=st.integers(5, 60), total=st.integers(8, 600), fps=st.sampled_from([0.5, 1.0, 2.0, 4.0])
)
def test_a_steady_film_is_shown_as_the_families_processors_show_it(
    rate: int, total: int, fps: float
) -> None:
    times = [at / rate for at in range(total)]
    count = min(max(total / rate * fps, 4), 64, total)
    off = abs(count / 2 - round(count / 2))
    assume(off < 0.002 or off > 0.05)  # there is slack for times that a file rounds
    if off < 0.002:
        count = round(count / 2) * 2
    expected = np.linspace(0, total - 1, int(count // 2) * 2).round().astype(int).tolist()
    assert chosen(times, Pace(fps, 4, 64)) == expected
    assert lasting(times) == pytest.approx(total / rate, rel=0.01)
