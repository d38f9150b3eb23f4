"""Take uploads in: look at each at once, decode it only when its turn is near: files are small, sound is large."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from mlxd.protocol.errors import InvalidRequest, UnsupportedField
from mlxd.workers.sound import reading
from mlxd.workers.sound.samples import Samples

_DECODED = 2
"""Recordings held decoded: the one that is heard, and the next."""


@dataclass(slots=True, eq=False)
class Ears:
    """Know what the model can hear, and bound what of it waits in memory; belongs to the HTTP thread."""

    languages: Mapping[str, str] | None
    """Code by code and by name; None = the model finds out itself, and cannot be told."""
    translates: bool
    prompts: bool
    """Whether a prompt can be given."""
    timed_words: bool
    longest_seconds: float
    _room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_DECODED))

    @asynccontextmanager
    async def hold(self, content: bytes) -> AsyncIterator[Samples]:
        """Give the samples of an upload for as long as they are worked on; raises CallerError for what is no sound."""
        await asyncio.to_thread(reading.probe, content, self.longest_seconds)
        async with self._room:
            yield await asyncio.to_thread(reading.read, content, self.longest_seconds)

    def code(self, language: str | None) -> str | None:
        """Return a language's code; raises CallerError for one that the model does not know."""
        if language is None:
            return None
        if self.languages is None:
            raise UnsupportedField("language", "this model cannot be told the language")
        found = self.languages.get(language.lower())
        if found is None:
            known = ", ".join(sorted(code for code in set(self.languages.values())))
            raise InvalidRequest(f"language: expected one of {known}", field="language")
        return found
