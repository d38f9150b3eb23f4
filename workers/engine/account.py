"""Count what a request costs, and know whose it is, without every dialect having to pass it on."""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from mlxd.protocol.control import ACCOUNT, CACHE_SALT, Used


@dataclass(slots=True, eq=False)
class Account:
    """Hold what one HTTP request has used so far."""

    name: str = ""
    salt: str = ""
    """What was computed under one salt is never of use under another."""
    input_tokens: int = 0
    output_tokens: int = 0
    _prompts: list[tuple[int, ...]] = field(default_factory=list)

    def read(self, prompt: tuple[int, ...]) -> None:
        """Count a prompt, once where several choices continue the same one."""
        if self.name and not any(known is prompt for known in self._prompts):
            self._prompts.append(prompt)
            self.input_tokens += len(prompt)


_current: ContextVar[Account | None] = ContextVar("mlxd_account", default=None)


def current() -> Account:
    """Return the account of the request that this task works for; one that nobody reads where there is none."""
    return _current.get() or Account()


class Accounting:
    """Report what each request has used when it has ended, in whatever way, as ASGI middleware.

    The app's state may hold `report`, which takes the message; requests without an account are not reported.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app on an account of the request's own."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        account = Account(headers.get(ACCOUNT, ""), headers.get(CACHE_SALT, ""))
        _current.set(account)
        try:
            await self._app(scope, receive, send)
        finally:
            report: Callable[[Used], None] | None = getattr(scope["app"].state, "report", None)
            if account.name and report is not None:
                report(Used(account.name, account.input_tokens, account.output_tokens))
