"""Speak with a daemon from Python, asynchronously.

    async with AsyncClient.running() as mlxd:
        await mlxd.load("demo", keep_alive="30m")
        answer = await mlxd.chat("demo", [{"role": "user", "content": "Hello!"}], max_tokens=50)
        async for chunk in mlxd.stream("/v1/chat/completions", {"model": "demo", "messages": [...]}):
            ...

`mlxctl doctor` uses it; the other commands speak the same routes over the standard library, which starts faster.
"""

import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import msgspec

from mlxd.config.paths import Paths
from mlxd.protocol import sse
from mlxd.protocol.admin import LoadResult, Ps, UnloadResult
from mlxd.supervisor import runfile

T = TypeVar("T")

_END = b"[DONE]"
_QUICK_S = 30.0
"""What only reads is known at once; what takes longer has hung."""


class DaemonError(Exception):
    """Say why the daemon refused, in its own words."""

    def __init__(self, message: str, *, code: str, status: int) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        """Stable word for programs; the README lists them."""
        self.status = status
        """HTTP status; 200 where a stream broke off."""


class Unreachable(DaemonError):
    """Say that no daemon answers."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="unreachable", status=0)


class AsyncClient:
    """Hold connections to one daemon; every call raises DaemonError where that says no."""

    def __init__(self, url: str, api_key: str | None = None) -> None:
        headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        # A proxy of the environment's must not come between two processes of this machine.
        self._http = httpx.AsyncClient(
            base_url=url, headers=headers, timeout=httpx.Timeout(None, connect=5.0), trust_env=False
        )
        self.url = url

    @classmethod
    def running(cls, env: Mapping[str, str] | None = None) -> "AsyncClient":
        """Return a client of the daemon that this user runs; raises Unreachable where none does."""
        found = runfile.running(Paths.of(os.environ if env is None else env).state_dir)
        if found is None:
            raise Unreachable("mlxd is not running; `mlxctl start` starts it")
        return cls(found.url, found.api_key)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def ps(self) -> Ps:
        """Return what is loaded, loading or leaving."""
        return _shaped(await self.get("/v1/ps"), Ps)

    async def models(self) -> list[dict[str, Any]]:
        """Return every model that can be asked for."""
        entries: list[dict[str, Any]] = (await self.get("/v1/models"))["data"]
        return entries

    async def load(self, model: str, *, keep_alive: str | float | None = None) -> LoadResult:
        """Have a model ready; returns when it is."""
        body = {"model": model, "keep_alive": keep_alive}
        return _shaped(await self.post("/v1/models/load", body), LoadResult)

    async def unload(self, model: str, *, force: bool = False) -> UnloadResult:
        """Have a model's process end; returns when it has, with the bytes that came back."""
        body = {"model": model, "force": force}
        return _shaped(await self.post("/v1/models/unload", body), UnloadResult)

    async def chat(
        self, model: str, messages: Sequence[Mapping[str, Any]], **fields: Any
    ) -> dict[str, Any]:
        """Return a chat completion; `fields` are those of OpenAI's body."""
        body = {"model": model, "messages": list(messages), **fields}
        answer: dict[str, Any] = await self.post("/v1/chat/completions", body)
        return answer

    async def get(self, path: str) -> Any:
        """Return the JSON answer to a GET."""
        return _answer(await self._send("GET", path, timeout=_QUICK_S))

    async def status(self, path: str, *, host: str | None = None) -> int:
        """Return the HTTP status of a GET, sent under another Host where one is named."""
        headers = {"host": host} if host else {}
        return (await self._send("GET", path, headers=headers, timeout=_QUICK_S)).status_code

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Return the JSON answer to a POST, however long it takes."""
        return _answer(await self._send("POST", path, json=body))

    async def stream(self, path: str, body: Mapping[str, Any]) -> AsyncIterator[Any]:
        """Yield each event's JSON until the stream ends; leaving the loop cancels the request."""
        try:
            async with self._http.stream("POST", path, json={**body, "stream": True}) as response:
                if response.status_code >= 400:
                    await response.aread()
                    _answer(response)
                parser = sse.Parser()
                async for chunk in response.aiter_bytes():
                    for _, data in parser.feed(chunk):
                        if data == _END:
                            return
                        yield _event(data)
        except httpx.TransportError as error:
            raise Unreachable(f"the connection to {self.url} failed: {error!r}") from None

    async def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            return await self._http.request(method, path, **options)
        except httpx.TransportError as error:
            raise Unreachable(f"no daemon answers at {self.url}: {error!r}") from None


def _answer(response: httpx.Response) -> Any:
    try:
        content = response.json()
    except ValueError:
        sentence = f"the answer is no JSON (HTTP {response.status_code})"
        raise DaemonError(sentence, code="bad_answer", status=response.status_code) from None
    if response.status_code >= 400:
        raise _refused(content, response.status_code)
    return content


def _event(data: bytes) -> Any:
    content = json.loads(data)
    if isinstance(content, dict) and content.get("error"):
        raise _refused(content, 200)
    return content


def _refused(content: Any, status: int) -> DaemonError:
    error = content.get("error") if isinstance(content, dict) else None
    if not isinstance(error, dict):
        return DaemonError(f"HTTP {status}", code=f"http_{status}", status=status)
    message, code = str(error.get("message", "")), str(error.get("code") or error.get("type"))
    return DaemonError(message, code=code, status=status)


def _shaped(content: Any, shape: type[T]) -> T:
    return msgspec.convert(content, shape)
