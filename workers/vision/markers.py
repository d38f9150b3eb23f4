"""Find the tokens that stand for pictures, sounds and films, and keep callers' own words from being taken for them."""

import re
from collections.abc import Iterable
from typing import Any

_MEDIA = re.compile(
    r"im(age|g)|vision|visual|video|audio|sound|speech|media|pixel|pic(ture)?s?\b|row_\d|frame|bo[iva]|eo[iva]",
    re.I,
)
"""What the names of such tokens hold, in every family; a word of text among them loses nothing by it."""


class Markers:
    """Know a tokenizer's media tokens."""

    def __init__(self, special: Iterable[str], also: Iterable[str] = ()) -> None:
        found = {text for text in special if len(text) > 2 and _MEDIA.search(text)}
        found |= {text for text in also if len(text) > 2}
        longest_first = sorted(found, key=lambda text: (-len(text), text))
        self._any = re.compile("|".join(map(re.escape, longest_first))) if found else None

    def plain(self, text: str) -> str:
        """Return a text in which every such token is only spelled: a space keeps it from being one."""
        if self._any is None:
            return text
        return self._any.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)


def of(processor: Any) -> Markers:
    """Return the markers of a processor."""
    tokenizer = getattr(processor, "tokenizer", processor)
    added = (str(token) for token in tokenizer.added_tokens_decoder.values())
    names = (
        "image_token",
        "boi_token",
        "eoi_token",
        "video_token",
        "audio_token",
        "fake_image_token",
    )
    texts = (getattr(holder, name, None) for holder in (processor, tokenizer) for name in names)
    return Markers(added, (text for text in texts if isinstance(text, str)))
