"""Say what writing a prompt with pictures, films and sounds needs of a model that sees."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from mlxd.protocol.errors import InvalidRequest, UnsupportedField
from mlxd.workers.chat.content import Content, FilmPart, ImagePart, MediaPart, SoundPart
from mlxd.workers.chat.request import ChatRequest, PastCall, Role, Tool, Turn
from mlxd.workers.engine.reading import PromptReading

MOST_PICTURES = 64
"""More pictures in a request than any window holds."""
MOST_FILMS = 8
"""More films in a request than there is time to decode."""
MOST_SOUNDS = 32
"""The same of sounds."""


class Sight(Protocol):
    """Know how a model's pictures, films and sounds become part of a prompt."""

    marker: str
    """What stands for a picture in the text of a prompt."""
    film_marker: str | None
    """What stands for a film; None: the model takes none."""
    sound_marker: str | None
    """What stands for a sound; None: the model takes none."""

    def plain(self, text: str) -> str:
        """Return a caller's text in which nothing stands for a picture, a film or a sound."""
        ...

    async def pictures(self, parts: Sequence[MediaPart]) -> list[Any]:
        """Fetch and decode pictures, films and sounds; raises CallerError naming the part that is none."""
        ...

    def look(
        self, text: str, pictures: Sequence[Any], parts: Sequence[MediaPart]
    ) -> tuple[tuple[int, ...], PromptReading]:
        """Return the tokens of a prompt whose markers are these pictures, and how it is read."""
        ...


def pictures_of(turns: Sequence[Turn]) -> list[MediaPart]:
    """Return all that is no text, in order; raises CallerError for one that cannot stand where it does."""
    found = [image for turn in turns for image in turn.images]
    for turn in turns:
        if turn.images and turn.role not in (Role.USER, Role.TOOL):
            first = turn.images[0]
            where = f"messages of the role {turn.role.value} hold no {first.words} here"
            raise UnsupportedField(first.field, where)
    _check_count(found, MOST_PICTURES)
    for kind, most in ((FilmPart, MOST_FILMS), (SoundPart, MOST_SOUNDS)):
        _check_count([part for part in found if isinstance(part, kind)], most)
    return found


def _check_count(parts: Sequence[MediaPart], most: int) -> None:
    if len(parts) > most:
        field, words = parts[most].field, parts[most].words
        raise InvalidRequest(
            f"{field}: expected at most {most} {words}, got {len(parts)}", field=field
        )


def check_taken(parts: Sequence[MediaPart], sight: "Sight | None") -> None:
    """Raise UnsupportedField for a part that a model would drop or fail on, saying what it takes."""
    for part in parts:
        if sight is None:
            raise UnsupportedField(part.field, f"this model takes text, not {part.words}")
        if _marker(sight, type(part)) is None:
            taken = [kind.words for kind in _KINDS if _marker(sight, kind) is not None]
            known = " and ".join([", ".join(["text", *taken[:-1]]), taken[-1]])
            raise UnsupportedField(part.field, f"this model takes {known}, not {part.words}")


def shows_each(text: str, parts: Sequence[MediaPart], sight: "Sight") -> bool:
    """Tell whether a prompt has one place for each of its pictures, films and sounds."""
    counts = Counter(map(type, parts))
    markers = {kind: _marker(sight, kind) for kind in _KINDS}
    return all(
        counts[kind] == 0 if marker is None else text.count(marker) == counts[kind]
        for kind, marker in markers.items()
    )


_KINDS: tuple[type[MediaPart], ...] = (ImagePart, FilmPart, SoundPart)


def _marker(sight: "Sight", kind: type[MediaPart]) -> str | None:
    if kind is FilmPart:
        return sight.film_marker
    return sight.sound_marker if kind is SoundPart else sight.marker


def plain(request: ChatRequest, clean: Callable[[str], str]) -> ChatRequest:
    """Return a request whose own words are cleaned, wherever a template may write them."""

    def each(value: Any) -> Any:
        if isinstance(value, str):
            return clean(value)
        if isinstance(value, Mapping):
            return {each(key): each(inner) for key, inner in value.items()}
        return [each(inner) for inner in value] if isinstance(value, list | tuple) else value

    def call(past: PastCall) -> PastCall:
        return replace(past, name=clean(past.name), arguments=clean(past.arguments))

    def turn(said: Turn) -> Turn:
        found = Content.of(
            (clean(part) if isinstance(part, str) else part for part in said.pieces), between=""
        )
        return replace(
            said,
            text=found.text,
            images=found.images,
            name=each(said.name),
            reasoning=each(said.reasoning),
            calls=tuple(map(call, said.calls)),
        )

    def tool(known: Tool) -> Tool:
        return replace(
            known,
            name=clean(known.name),
            description=each(known.description),
            parameters=each(known.parameters),
        )

    return replace(
        request,
        turns=tuple(map(turn, request.turns)),
        tools=tuple(map(tool, request.tools)),
        prefill=clean(request.prefill),
        template_options=each(request.template_options),
    )


def in_parts(turn: Turn) -> object:
    """Return a turn's content the way templates of models that see take it."""
    if not turn.images:
        return turn.text
    return [
        {"type": "text", "text": part} if isinstance(part, str) else {"type": part.medium}
        for part in turn.pieces
    ]


def in_text(marker: str) -> Callable[[Turn], object]:
    """Return what writes a turn as a string, for templates that take nothing else."""
    return lambda turn: "".join(part if isinstance(part, str) else marker for part in turn.pieces)


def beside_results(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """Return the turns with the pictures of results in a user's turn after them, for templates that show none there."""
    found: list[Turn] = []
    waiting: list[MediaPart] = []
    for turn in turns:
        if waiting and turn.role is not Role.TOOL:
            found.append(_shown(waiting))
            waiting = []
        waiting += turn.images if turn.role is Role.TOOL else ()
        found.append(replace(turn, images=()) if turn.role is Role.TOOL else turn)
    return (*found, _shown(waiting)) if waiting else tuple(found)


def _shown(images: Sequence[MediaPart]) -> Turn:
    content = Content.of(images)
    return Turn(role=Role.USER, text=content.text, images=content.images)
