"""What an MP4's tables claim is counted before a decoder believes it."""

import resource

import pytest
from support.bad_films import MPEG4, endless, endless_fragment
from support.films import film, recording

from mlxd.workers.media import tables

FRAGMENTS = (("movflags", "frag_keyframe+empty_moov"),)


@pytest.mark.parametrize("content", [film(), film(kind=MPEG4), film(options=FRAGMENTS)])
def test_tables_that_describe_what_is_there_are_fine(content: bytes) -> None:
    assert not tables.too_long(content)
    assert not tables.too_long(content[: len(content) // 2])


@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_s24le", "aac"])
def test_sound_is_as_long_as_it_is_whether_or_not_it_is_compressed(codec: str) -> None:
    """Cameras write theirs so, and each of a second's 48,000 samples is one of the table's."""
    content = recording(codec, seconds=60)
    assert not tables.too_long(content)
    pictures = content.replace(b"soun", b"vide")
    assert tables.too_long(pictures) == codec.startswith("pcm"), "those are kept one by one"


def test_tables_that_claim_millions_are_not() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert tables.too_long(endless())
    assert tables.too_long(endless_fragment())
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


def test_many_small_claims_are_added_up() -> None:
    one = (
        (20).to_bytes(4, "big")
        + b"trun"
        + bytes(4)
        + (tables.MOST_SAMPLES // 2).to_bytes(4, "big")
        + bytes(4)
    )
    assert not tables.too_long(one * 2)
    assert tables.too_long(one * 3)


@pytest.mark.parametrize(
    ("box", "long"),
    [
        (b"\0\0\0\x20mdatstsz" + b"\xff" * 20, False),
        (b"\0\0\0\x01mdat\0\0\0\0\0\0\0\x28stsz" + b"\xff" * 20, False),
        (b"\0\0\0\0mdatstsz" + b"\xff" * 20, False),
        (b"\0\0\0\x20udtastsz" + b"\xff" * 20, True),
        (b"\0\0\0\x05mdatstsz" + b"\xff" * 20, True),
        (b"\0\0\xff\xffmdatstsz" + b"\xff" * 20, True),
        (b"\0\0\0\x20moovcmov" + b"\0" * 20, True),
        (b"\0\0\0\x08freestsz" + b"\xff" * 20, True),
    ],
)
def test_only_whole_boxes_of_media_are_passed_over(box: bytes, long: bool) -> None:
    assert tables.too_long(box) is long
