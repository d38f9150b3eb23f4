"""Speak HTTP with the daemon, over the standard library: importing httpx takes longer than most commands."""

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import SplitResult, quote, urlsplit

import msgspec

from mlxd.protocol import sse
from mlxd.supervisor.cli.failure import Misused, Refused, Unreachable

if TYPE_CHECKING:
    from http.client import HTTPConnection, HTTPResponse

T = TypeVar("T")

_HINTS = {401: "; pass --api-key or set MLXD_API_KEY"}
_QUICK_S = 30.0
"""A GET reads what the daemon knows already; one that takes longer has hung."""


class Client:
    """Ask the daemon at one address; every call is one connection."""

    def __init__(self, url: str, api_key: str | None = None) -> None:
        self.url = url.rstrip("/")
        self._parts = _split(url)
        self._path = self._parts.path.rstrip("/")
        self.api_key = api_key

    def get(self, path: str, *, timeout: float = _QUICK_S) -> Any:
        """Return the JSON answer to a GET."""
        with self._exchange("GET", path, None, timeout) as response:
            return _json(response.read(), self.url)

    def read(self, path: str, shape: type[T]) -> T:
        """Return the answer to a GET as `shape`; fields that this version does not know are dropped."""
        try:
            return msgspec.convert(self.get(path), shape)
        except msgspec.ValidationError as error:
            raise Refused(f"{self.url}{path}: {error}", code="bad_answer", status=200) from None

    def post(self, path: str, body: object) -> Any:
        """Return the JSON answer to a POST, however long it takes."""
        with self._exchange("POST", path, body, None) as response:
            return _json(response.read(), self.url)

    def delete(self, path: str, *, timeout: float | None = _QUICK_S) -> Any:
        """Return the JSON answer to a DELETE."""
        with self._exchange("DELETE", path, None, timeout) as response:
            return _json(response.read(), self.url)

    def stream(self, path: str, body: object) -> Generator[bytes]:
        """Yield the data of each server-sent event; closing the iterator cancels the request."""
        with self._exchange("POST", path, body, None) as response:
            parser = sse.Parser()
            while chunk := response.read1(65536):
                yield from (data for _, data in parser.feed(chunk))

    def follow(self, path: str) -> Generator[bytes]:
        """Yield the data of each server-sent event of a GET until the daemon ends the stream."""
        with self._exchange("GET", path, None, None) as response:
            parser = sse.Parser()
            while chunk := response.read1(65536):
                yield from (data for _, data in parser.feed(chunk))

    @contextmanager
    def _exchange(
        self, method: str, path: str, body: object, timeout: float | None
    ) -> Iterator["HTTPResponse"]:
        import http.client

        connection = self._connection(timeout)
        try:
            connection.request(method, self._path + path, *self._content(body))
            # The response holds the socket too: only when both are closed does the daemon see us leave.
            with connection.getresponse() as response:
                if response.status >= 400:
                    raise _refusal(response.status, response.read())
                yield response
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(self._no_answer(error)) from None
        finally:
            connection.close()

    def _content(self, body: object) -> tuple[bytes | None, dict[str, str]]:
        headers = {"accept": "application/json", "connection": "close"}
        if self.api_key:
            headers["authorization"] = f"Bearer {self.api_key}"
        if body is None:
            return None, headers
        return msgspec.json.encode(body), headers | {"content-type": "application/json"}

    def _connection(self, timeout: float | None) -> "HTTPConnection":
        import http.client

        secure = self._parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        return kind(self._parts.hostname or "", self._parts.port, timeout=timeout)

    def _no_answer(self, error: Exception) -> str:
        if isinstance(error, ConnectionRefusedError):
            return f"no daemon answers at {self.url}; `mlxctl start` starts one"
        return f"the connection to {self.url} failed: {error or type(error).__name__}"


def model_path(name: str) -> str:
    """Return the path of one model's page; names may hold slashes."""
    return f"/v1/models/{quote(name, safe='/')}"


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
    except ValueError:
        valid = False
    if not valid:
        raise Misused(f"--url: expected something like http://127.0.0.1:10240, got {url!r}")
    return parts


def _json(payload: bytes, url: str) -> Any:
    try:
        return json.loads(payload)
    except ValueError:
        sentence = f"what answers at {url} is not mlxd: its answer is no JSON"
        raise Refused(sentence, code="bad_answer", status=200) from None


def _refusal(status: int, payload: bytes) -> Refused:
    try:
        return refusal(json.loads(payload)["error"], status)
    except (ValueError, KeyError, TypeError):
        return Refused(f"the daemon answered HTTP {status}", code=f"http_{status}", status=status)


def refusal(error: dict[str, Any], status: int = 200) -> Refused:
    """Turn the daemon's error object, from a body or from a stream, into the failure of a command."""
    sentence = str(error["message"]) + _HINTS.get(status, "")
    return Refused(sentence, code=str(error.get("code") or "error"), status=status)
