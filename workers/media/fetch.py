"""Fetch a file from the internet for a caller, who may want it from somewhere else.

Every hop's name is resolved here and the connection goes to an address that was checked, so that a name cannot mean
another machine a moment later. The time is one for everything, so that a server that drips bytes gains nothing.
"""

import io
import socket
import ssl
import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urljoin, urlsplit

import certifi

from mlxd.workers.media.addresses import Resolve, is_public, resolve

REDIRECTS = 3
LONGEST_URL = 8192
_MOVED = (301, 302, 303, 307, 308)
_PIECE = 1 << 16
_ACCEPTED = "image/*, video/*, audio/*"


class FetchFailed(Exception):
    """Say in a sentence's end why a file was not fetched."""


class Fetcher:
    """Fetch files; any thread may call it."""

    def __init__(
        self,
        *,
        seconds: float,
        most_bytes: int,
        resolve: Resolve = resolve,
        allowed: Callable[[str], bool] = is_public,
    ) -> None:
        self._seconds = seconds
        self._most = most_bytes
        self._resolve = resolve
        self._allowed = allowed

    def fetch(self, url: str) -> bytes:
        """Return a file's content; raises FetchFailed."""
        deadline = time.monotonic() + self._seconds
        for _ in range(REDIRECTS + 1):
            try:
                found = self._hop(url, deadline)
            except TimeoutError:
                raise FetchFailed(f"it did not come within {self._seconds:g} s") from None
            except (OSError, HTTPException, ValueError) as error:
                raise FetchFailed(f"it cannot be fetched: {type(error).__name__}") from error
            if isinstance(found, bytes):
                return found
            url = found
        raise FetchFailed(f"it was redirected more than {REDIRECTS} times")

    def _hop(self, url: str, deadline: float) -> bytes | str:
        """Return the file, or where it is said to be instead."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or len(url) > LONGEST_URL:
            raise FetchFailed("expected an http or https address")
        if parts.username is not None or parts.password is not None:
            raise FetchFailed("an address with a password in it is not fetched")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        line = _Line(self._address(parts.hostname, port), port, deadline)
        try:
            if parts.scheme == "https":
                line.encrypt(parts.hostname)
            connection = HTTPConnection(parts.hostname, port)
            connection.sock = line
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            headers = {"Accept": _ACCEPTED, "Accept-Encoding": "identity", "User-Agent": "mlxd"}
            connection.request("GET", target, headers=headers)
            with connection.getresponse() as response:
                if response.status in _MOVED and (to := response.getheader("Location")):
                    return urljoin(url, to)
                return self._content(response)
        finally:
            line.hang_up()

    def _address(self, host: str, port: int) -> str:
        """Return an address of the host; one that is not public makes all of them suspect."""
        found = self._resolve(host, port)
        if not found or not all(map(self._allowed, found)):
            raise FetchFailed("its address is not on the public internet")
        return found[0]

    def _content(self, response: HTTPResponse) -> bytes:
        if response.status != 200:
            raise FetchFailed(f"the server answered {response.status}")
        if (response.length or 0) > self._most:
            raise FetchFailed(f"expected at most {self._most} bytes, got {response.length}")
        content = bytearray()
        while piece := response.read(_PIECE):
            content += piece
            if len(content) > self._most:
                raise FetchFailed(f"expected at most {self._most} bytes, got more")
        return bytes(content)


def trusting() -> ssl.SSLContext:
    """Return whom to believe over https: whom Python does, or Mozilla does where that knows nobody."""
    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"]:
        # As with python.org's Python on a Mac, until its "Install Certificates" was run.
        context.load_verify_locations(certifi.where())
    return context


class _Line:
    """A connection whose every wait ends at one deadline; just enough of a socket for http.client."""

    def __init__(self, address: str, port: int, deadline: float) -> None:
        self._deadline = deadline
        self._socket: socket.socket = socket.create_connection((address, port), self._left())

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def encrypt(self, host: str) -> None:
        """Go on in TLS with a server that proves to be the host."""
        self._socket.settimeout(self._left())
        self._socket = trusting().wrap_socket(self._socket, server_hostname=host)

    def sendall(self, data: bytes) -> None:
        """Send all of it."""
        self._socket.settimeout(self._left())
        self._socket.sendall(data)

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        """Return what http.client reads from."""
        return io.BufferedReader(_Incoming(self))

    def receive(self, into: Any) -> int:
        """Wait for bytes, at most until the deadline."""
        self._socket.settimeout(self._left())
        return self._socket.recv_into(into)

    def close(self) -> None:
        """Do nothing: http.client closes what it still reads from."""

    def hang_up(self) -> None:
        """End the connection."""
        self._socket.close()


class _Incoming(io.RawIOBase):
    def __init__(self, line: _Line) -> None:
        self._line = line

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._line.receive(buffer)
