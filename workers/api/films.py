"""Read the films of bodies into the one form they have inside."""

from mlxd.protocol.errors import InvalidRequest
from mlxd.workers.chat.content import FilmPart

MOST_FPS = 60.0
"""Frames of a second that are shown at the most."""


def from_url(
    url: str | None, field: str, *, fps: float | None = None, max_pixels: int | None = None
) -> FilmPart:
    """Return a film that a body names by URI; raises CallerError naming the field at fault."""
    if not url:
        raise InvalidRequest(f"{field}: expected the URL of a film", field=field)
    owner = field.removesuffix(".url")
    if fps is not None and not 0 < fps <= MOST_FPS:
        name = f"{owner}.fps"
        raise InvalidRequest(
            f"{name}: expected more than 0 and at most {MOST_FPS:g}, got {fps:g}", field=name
        )
    if max_pixels is not None and max_pixels < 1:
        name = f"{owner}.max_pixels"
        raise InvalidRequest(f"{name}: expected at least 1, got {max_pixels}", field=name)
    return FilmPart(url=url, field=field, fps=fps, max_pixels=max_pixels)
