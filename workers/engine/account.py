"""Count what a request costs, and know whose it is, without every dialect having to pass it on."""

import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlxd.protocol import timing
from mlxd.protocol.control import ACCOUNT, CACHE_SALT, KEY, QUEUED, REQUEST, Used
from mlxd.protocol.timing import Tally

_NS = 1e-9


@dataclass(slots=True, eq=False)
class Account:
    """Hold what one HTTP request has used so far."""

    name: str = ""
    salt: str = ""
    """What was computed under one salt is never of use under another."""
    key: str = ""
    request: int = 0
    """Number by which the supervisor knows the request."""
    began: float = field(default_factory=time.monotonic)
    """When the daemon had the request, as far as this process can tell."""
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    first_token: float | None = None
    """Seconds to the first token."""
    gaps: Tally = field(default_factory=lambda: Tally(timing.INTER_TOKEN))
    """Seconds between tokens."""
    is_cancelled: bool = False
    error: str = ""
    """Code of what went wrong with it."""
    _prompts: list[tuple[int, ...]] = field(default_factory=list)

    @classmethod
    def of(cls, headers: Headers) -> "Account":
        """Return a new account of the request that came with these headers."""
        return cls(
            name=headers.get(ACCOUNT, ""),
            salt=headers.get(CACHE_SALT, ""),
            key=headers.get(KEY, ""),
            request=_number(headers, REQUEST),
            began=time.monotonic() - _number(headers, QUEUED) * _NS,
        )

    def read(self, prompt: tuple[int, ...]) -> None:
        """Count a prompt, once where several choices continue the same one."""
        if not any(known is prompt for known in self._prompts):
            self._prompts.append(prompt)
            self.input_tokens += len(prompt)

    def began_answer(self, now: float) -> None:
        """Note the moment of a first token; of several rows the fastest counts."""
        if self.first_token is None:
            self.first_token = now - self.began

    def used(self) -> Used:
        """Return the message that says all this."""
        has_gaps = any(self.gaps.counts)
        return Used(
            self.name,
            self.input_tokens,
            self.output_tokens,
            key=self.key,
            cached_tokens=self.cached_tokens,
            is_cancelled=self.is_cancelled,
            error=self.error,
            first_token=self.first_token,
            gaps=tuple(self.gaps.counts) if has_gaps else (),
            gap_seconds=self.gaps.sum,
            request=self.request,
        )


def _number(headers: Headers, name: str) -> int:
    text = headers.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 19 else 0


_current: ContextVar[Account | None] = ContextVar("mlxd_account", default=None)


def current() -> Account:
    """Return the account of the request that this task works for; one that nobody reads where there is none."""
    return _current.get() or Account()


class Accounting:
    """Report what each request has used when it has ended, in whatever way, as ASGI middleware.

    The app's state may hold `report`, which takes the message; a request that nobody pays for or follows, and that used
    nothing, is not reported.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app on an account of the request's own."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        account = Account.of(Headers(scope=scope))
        _current.set(account)
        is_answered = is_refused = False

        async def heard() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect" and not is_answered:
                account.is_cancelled = True
            return message

        async def said(message: Message) -> None:
            nonlocal is_answered, is_refused
            if message["type"] == "http.response.start":
                is_refused = message["status"] != 200
            if message["type"] == "http.response.body" and not message.get("more_body"):
                is_answered = True
            await send(message)

        try:
            await self._app(scope, heard, said)
        finally:
            if is_refused:
                account.error = ""  # its head says so
            report: Callable[[Used], None] | None = getattr(scope["app"].state, "report", None)
            used = account.input_tokens or account.output_tokens
            if report is not None and (account.name or account.request or used):
                report(account.used())
