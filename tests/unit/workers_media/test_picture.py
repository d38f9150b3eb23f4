"""Pictures that strangers send are decoded within limits, or refused with a reason."""

import io
import resource

import pytest
from PIL import Image
from support.bad_pictures import bomb, hostile, turned
from support.seeing import picture

from mlxd.workers.media.picture import SEEN_PIXELS, BadPicture, decode

MOST = 40_000_000


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_known_formats_become_rgb(kind: str) -> None:
    found = decode(picture(1, kind=kind), MOST)
    assert (found.mode, found.size) == ("RGB", (120, 80))


@pytest.mark.parametrize("wrong", hostile())
def test_everything_else_is_refused(wrong: str) -> None:
    with pytest.raises(BadPicture):
        decode(hostile()[wrong], MOST)


def test_a_bomb_is_refused_before_its_pixels_are_made() -> None:
    content = bomb()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BadPicture, match="13000x13000"):
        decode(content, MOST)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


@pytest.mark.parametrize(
    ("way", "size"), [(1, (40, 20)), (3, (40, 20)), (6, (20, 40)), (8, (20, 40))]
)
def test_pictures_are_turned_upright(way: int, size: tuple[int, int]) -> None:
    assert decode(turned(way), MOST).size == size


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16", "CMYK"])
def test_every_way_to_store_colours_is_read(mode: str) -> None:
    file = io.BytesIO()
    Image.new(mode, (9, 7)).save(file, "JPEG" if mode == "CMYK" else "PNG")
    assert decode(file.getvalue(), MOST).mode == "RGB"


def test_what_is_transparent_is_white_as_on_a_page() -> None:
    file = io.BytesIO()
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(file, "PNG")
    assert decode(file.getvalue(), MOST).getpixel((1, 1)) == (255, 255, 255)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_picture_is_scaled_to_the_pixels_that_are_wanted(kind: str) -> None:
    found = decode(picture(1, (300, 200), kind), MOST, 600)
    assert found.width * found.height <= 600
    assert found.width > found.height
    assert decode(picture(1), MOST, SEEN_PIXELS * 9).size == (120, 80)


def test_an_animation_is_its_first_picture() -> None:
    file = io.BytesIO()
    pages = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    pages[0].save(file, "GIF", save_all=True, append_images=pages[1:])
    assert decode(file.getvalue(), MOST).getpixel((1, 1)) == (255, 0, 0)
