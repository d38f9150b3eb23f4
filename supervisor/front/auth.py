"""Let nobody past whose key is missing, worth nothing here, or used up."""

from collections.abc import Sequence

from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlxd.protocol.errors import MlxdError, PermissionDenied
from mlxd.protocol.keys import Right
from mlxd.supervisor.access import rights, tenant
from mlxd.supervisor.access.access import Access
from mlxd.supervisor.access.tenant import Caller, Tenant
from mlxd.supervisor.front.request_trace import of as trace_of
from mlxd.supervisor.urgency import PRIORITY

OPEN_PATH = rights.OPEN_PATH
"""The one route that answers without a key."""

_READING = ("GET", "HEAD", "OPTIONS")


class KeyCheck:
    """Find out who calls, hold it to its rights and shares, and write down what admins do."""

    def __init__(self, app: ASGIApp, access: Access, routes: Sequence[BaseRoute] = ()) -> None:
        self._app = app
        self._access = access
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app on the caller's behalf; raises InvalidApiKey, PermissionDenied or RateLimited."""
        caller = Caller(self._access.open_tenant())
        tenant.begin(
            caller
        )  # always: a connection's next request may start from the context of its last
        if rights.is_open(scope["method"], scope["path"]):
            await self._app(scope, receive, send)
            return
        if self._access.is_locked:
            caller.tenant, shares, receive = self._access.identify(scope, receive)
            trace_of(scope).key = caller.tenant.name
            self._check_right(scope, caller.tenant)
            caller.slot = self._access.admit(caller.tenant, shares)
            _set_priority(scope, caller.tenant)
        try:
            await self._run(scope, receive, send, caller)
        finally:
            if caller.slot is not None:
                caller.slot.release()

    async def _run(self, scope: Scope, receive: Receive, send: Send, caller: Caller) -> None:
        method, path = scope["method"], scope["path"]
        is_action = method not in _READING and rights.needed(method, path) is Right.ADMIN
        if not is_action or not self._is_served(scope):
            await self._app(scope, receive, send)
            return
        status: int | None = None

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        result = "cut_off"
        try:
            await self._app(scope, receive, noted)
            result = trace_of(scope).error or "ok"
        except MlxdError as error:
            result, status = error.code, error.status
            raise
        finally:
            self._audit(scope, caller, result, status)

    def _check_right(self, scope: Scope, who: Tenant) -> None:
        right = rights.needed(scope["method"], scope["path"])
        if right in who.rights or not self._is_served(scope):
            return
        if right is Right.ADMIN and scope["method"] not in _READING:
            self._audit(scope, Caller(who), PermissionDenied.code, PermissionDenied.status)
        raise PermissionDenied(f"this API key lacks the right {right.value!r}")

    def _is_served(self, scope: Scope) -> bool:
        """Tell whether a route takes the request; what does not exist needs no right."""
        return any(route.matches(scope)[0] is Match.FULL for route in self._routes)

    def _audit(self, scope: Scope, caller: Caller, result: str, status: int | None) -> None:
        self._access.audit.write(
            caller.tenant.name,
            f"{scope['method']} {scope['path'][:200]}",
            about=caller.about,
            result=result,
            status=status,
            request=trace_of(scope).request_id,
        )


def _set_priority(scope: Scope, who: Tenant) -> None:
    """Let a request that asks for no priority have its key's; the ceiling holds where it is enqueued."""
    name = PRIORITY.encode()
    if who.ceiling is not None and all(header != name for header, _ in scope["headers"]):
        scope["headers"] = [*scope["headers"], (name, who.ceiling.name.lower().encode())]
