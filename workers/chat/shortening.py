"""Make a conversation fit the window as it or its model's entry says: leave out the oldest, or have it summarized."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from mlxd.protocol.errors import ContextLengthExceeded, MlxdError
from mlxd.protocol.generation import Overflow
from mlxd.workers.chat import overflow, summaries
from mlxd.workers.chat.overflow import Group
from mlxd.workers.chat.request import ChatRequest, Role, Turn
from mlxd.workers.chat.summaries import Summaries
from mlxd.workers.chat.template import Prompt, PromptWriter
from mlxd.workers.engine import account

log = logging.getLogger(__name__)

_TRIES = 3
"""Prompts that are written to see whether a little more would fit, for lengths are reckoned message by message."""
_ROUNDS = 8
"""Summaries one request may cost; a conversation that needs more is cut."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """Hold a request that fits, its prompt, and what was done to it in a few words."""

    request: ChatRequest
    prompt: Prompt
    note: str | None = None


@dataclass(frozen=True, slots=True)
class _Long:
    """Hold a conversation that is too long, in parts."""

    request: ChatRequest
    prompt: Prompt
    """Has no tokens where it is too long by far."""
    head: list[Turn]
    turns: list[list[Turn]]
    lengths: list[Group]
    """Groups by what is said in them, which is the same whatever comes after."""
    groups: list[Group]
    """The same with what the template writes around each message, as far as that can be told."""
    room: int
    known: Prompt
    """The longest prompt that was read."""
    places: Sequence[int]
    """Its groups."""

    @property
    def around(self) -> int:
        """Tokens that are in no group: system message, tools, what the template writes."""
        return self.known.length - self.tokens(self.places)

    @property
    def most(self) -> int:
        """Removals at the most."""
        return overflow.stops(self.groups)[-1]

    def fits(self, found: Fitted) -> bool:
        """Tell whether a prompt leaves room for an answer."""
        return found.prompt.length <= self.room

    def tokens(self, places: Sequence[int]) -> int:
        """Return how long these groups are together."""
        return sum(self.groups[place].tokens for place in places)

    def messages(self, places: Sequence[int]) -> int:
        """Return how many messages are in these places."""
        return sum(self.groups[place].messages for place in places)

    def only(self, places: Sequence[int], first: Sequence[Turn] = ()) -> ChatRequest:
        """Return the request with nothing but its head, `first`, and these groups."""
        rest = [turn for place in places for turn in self.turns[place]]
        return replace(self.request, turns=(*self.head, *first, *rest))


class Shortening:
    """Fit conversations into one model's window; `ask` has the model answer one of ours."""

    def __init__(
        self,
        writer: PromptWriter,
        window: int,
        policy: Overflow,
        ask: Callable[[ChatRequest], Awaitable[str]],
    ) -> None:
        self._writer, self._window, self._policy, self._ask = writer, window, policy, ask
        self._summaries = Summaries()

    async def fit(self, request: ChatRequest) -> Fitted:
        """Return the request as it is answered; raises ContextLengthExceeded where its last messages do not fit."""
        prompt = await self._writer.chat(request)
        room = overflow.room(self._window, request.controls.max_tokens)
        seen = any(turn.images for turn in request.turns)
        policy = request.overflow or self._policy
        if policy == "error" or seen or prompt.length <= room:
            return Fitted(request, prompt)
        long = await self._parted(request, prompt, room)
        found = await self._summarized(long) if policy == "summarize" else None
        found = found or await self._truncated(long)
        if found.note is not None:
            log.info("a conversation was too long: %s", found.note)
        return found

    async def _parted(self, request: ChatRequest, prompt: Prompt, room: int) -> _Long:
        head, turns = overflow.grouped(request.turns)
        lengths = await self._writer.lengths([_said(group) for group in turns])
        groups = [
            Group(length, len(group), group[0].role is Role.USER)
            for length, group in zip(lengths, turns, strict=True)
        ]
        places = range(len(groups))
        long = _Long(request, prompt, head, turns, groups, groups, room, prompt, places)
        stay = overflow.kept(groups, long.most)
        if len(stay) == len(groups):
            return long
        # What the template writes around a message is told by the difference between most of them and the fewest.
        least = await self._writer.chat(long.only(stay))
        if least.over is not None:
            raise self._refusal(long)
        if prompt.over is not None:
            long = await self._readable(long)
        fewest = set(stay)
        gone = [place for place in long.places if place not in fewest]
        around = long.known.length - least.length - long.tokens(gone)
        each = around / max(long.messages(gone), 1)
        return replace(
            long,
            groups=[replace(g, tokens=max(int(g.tokens + each * g.messages), 0)) for g in groups],
        )

    async def _readable(self, long: _Long) -> _Long:
        """Return the conversation with a prompt of it that can be read: without what cannot fit by its words alone."""
        count = overflow.removed(long.groups, long.room)
        while True:
            stay = overflow.kept(long.groups, count)
            known = await self._writer.chat(long.only(stay))
            if known.over is None:
                return replace(long, known=known, places=stay)
            if count >= long.most:
                raise self._refusal(long)
            count = overflow.removed(long.groups, long.tokens(stay) // 2, least=count + 1)

    def _refusal(self, long: _Long) -> ContextLengthExceeded:
        over = long.prompt.over is not None
        return ContextLengthExceeded(long.prompt.length, self._window, "messages", at_least=over)

    async def _truncated(self, long: _Long) -> Fitted:
        """Leave out the oldest groups; what the template makes of the rest has the last word on whether it fits."""
        stops = overflow.stops(long.groups)
        count = overflow.removed(long.groups, long.room - long.around)
        place = max(stops.index(count), min(1, len(stops) - 1))
        found = await self._without(long, stops[place])
        while not long.fits(found) and place + 1 < len(stops):
            missing = found.prompt.length - long.room
            freed = long.tokens(overflow.kept(long.groups, stops[place])) - missing
            place = max(stops.index(overflow.removed(long.groups, freed)), place + 1)
            found = await self._without(long, stops[place])
        for fewer in reversed(stops[max(place - _TRIES, 1) : place]):
            more = await self._without(long, fewer)
            if not long.fits(more):
                break
            found, place = more, stops.index(fewer)
        even = overflow.stepped(long.lengths, stops[place], max(self._window // overflow.STEPS, 1))
        if even != stops[place]:
            found = await self._without(long, even)
        if found.prompt.length >= self._window:
            raise self._refusal(long)
        return found

    async def _without(self, long: _Long, count: int) -> Fitted:
        if not count:
            return Fitted(long.request, long.prompt)
        stay = overflow.kept(long.groups, count)
        request = long.only(stay)
        gone = long.messages(range(len(long.groups))) - long.messages(stay)
        return Fitted(request, await self._writer.chat(request), _note("truncated", gone))

    async def _summarized(self, long: _Long) -> Fitted | None:
        """Put a summary in the place of all but the last messages; None where that does not work out."""
        old = overflow.recent(long.groups)
        names = summaries.names(long.turns[:old], account.current().salt)
        known, text = self._summaries.longest(names)
        if known and (found := await self._with_summary(long, known, text)) is not None:
            return found
        if known == old:
            return None
        try:
            text = await self._summary(long, range(known, old), text)
        except MlxdError as error:
            log.warning("a summary failed: %s", error.message)
            return None
        if not text:
            return None
        self._summaries.keep(names[-1], text)
        return await self._with_summary(long, old, text)

    async def _with_summary(self, long: _Long, count: int, text: str) -> Fitted | None:
        stay = list(range(count, len(long.groups)))
        asked = overflow.last_opening(long.groups)
        if asked is not None and asked < count:
            stay.insert(0, asked)
        request = long.only(stay, [summaries.as_turn(text)])
        prompt = await self._writer.chat(request)
        if prompt.length > long.room:
            return None
        return Fitted(request, prompt, _note("summarized", long.messages(range(count))))

    async def _summary(self, long: _Long, places: range, text: str) -> str:
        """Return a summary of groups and of an earlier summary, made in as many rounds as the window asks for."""
        empty = await self._writer.chat(summaries.asking([], "", self._window))
        labels = sum(len(group) for group in long.turns[places.start : places.stop])
        room = self._window - empty.length - 2 * summaries.limit(self._window) - 4 * labels
        runs = overflow.pieces(long.groups[places.start : places.stop], room)
        if runs is None or len(runs) > _ROUNDS:
            return ""
        for run in runs:
            turns = [turn for place in run for turn in long.turns[places.start + place]]
            text = (await self._ask(summaries.asking(turns, text, self._window))).strip()
            if not text:
                return ""
        return text


def _said(group: Sequence[Turn]) -> str:
    parts = [part for turn in group for part in (turn.text, turn.reasoning or "")]
    parts += [f"{call.name} {call.arguments}" for turn in group for call in turn.calls]
    return "\n".join(parts)


def _note(what: str, messages: int) -> str:
    return f"{what} {messages} message{'' if messages == 1 else 's'}"
