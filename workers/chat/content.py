"""Hold what a turn says: text, with pictures, films and sounds in their places."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaPart:
    """Hold a file as the caller gave it; it is fetched and decoded when the prompt is written."""

    medium: ClassVar[str] = "file"
    """What its data: URI says it is."""
    words: ClassVar[str] = "files"
    """What several are called in a sentence."""
    url: str | None = None
    """A data: URI, or an address to fetch."""
    base64: str | None = None
    """The file itself, encoded; exactly one of the two is given."""
    field: str
    """Name of the request field that holds it; a refusal names it."""
    max_pixels: int | None = None
    """What it, or each picture of it, is scaled down to; None: as large as the model takes it."""
    at: int = 0
    """Characters of the turn's text before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePart(MediaPart):
    """Hold a picture."""

    medium: ClassVar[str] = "image"
    words: ClassVar[str] = "images"


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmPart(MediaPart):
    """Hold a film, of which the model is shown frames."""

    medium: ClassVar[str] = "video"
    words: ClassVar[str] = "films"
    fps: float | None = None
    """Frames of each second that are shown; None: as many as the model is used to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundPart(MediaPart):
    """Hold a sound."""

    medium: ClassVar[str] = "audio"
    words: ClassVar[str] = "sounds"


@dataclass(frozen=True, slots=True)
class Content:
    """Hold text with pictures, films and sounds in their places."""

    text: str = ""
    images: tuple[MediaPart, ...] = ()

    @classmethod
    def of(cls, parts: Iterable[str | MediaPart], between: str = "\n") -> "Content":
        """Put parts together; `between` stands between two texts that follow each other."""
        text, images, after_text = "", [], False
        for part in parts:
            if isinstance(part, str):
                text += (between if after_text else "") + part
            else:
                images.append(replace(part, at=len(text)))
            after_text = isinstance(part, str)
        return cls(text, tuple(images))

    def __add__(self, other: "Content") -> "Content":
        moved = (replace(image, at=image.at + len(self.text)) for image in other.images)
        return Content(self.text + other.text, (*self.images, *moved))


def pieces(text: str, images: Sequence[MediaPart]) -> list[str | MediaPart]:
    """Return a turn's text, and all else in it, in the order they stand."""
    found: list[str | MediaPart] = []
    done = 0
    for image in images:
        if image.at > done:
            found.append(text[done : image.at])
        found.append(image)
        done = image.at
    if done < len(text):
        found.append(text[done:])
    return found
