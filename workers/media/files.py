"""Get the files of a request: from data: URIs and base64 at once, from addresses where that is allowed."""

import asyncio
import binascii
from base64 import b64decode
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from mlxd.protocol.errors import InvalidRequest, UnsupportedField
from mlxd.workers.chat.content import MediaPart
from mlxd.workers.media.fetch import Fetcher, FetchFailed
from mlxd.workers.media.limits import MediaLimits

_THREADS = 4
_SCHEMES = ("http://", "https://")


class Files:
    """Turn what callers sent into bytes; used on the HTTP thread's event loop."""

    def __init__(self, limits: MediaLimits, fetcher: Fetcher | None = None) -> None:
        self._limits = limits
        self._fetcher = fetcher or Fetcher(seconds=limits.seconds, most_bytes=limits.file_bytes)
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="mlxd-media")

    async def get(self, parts: Sequence[MediaPart]) -> list[bytes]:
        """Return each part's file; raises CallerError naming the one that cannot be had."""
        loop, found, size = asyncio.get_running_loop(), [], 0
        for part in parts:
            waiting = loop.run_in_executor(self._executor, self._file, part)
            try:  # looking a name up cannot be told to stop
                content = await asyncio.wait_for(waiting, self._limits.seconds + 1)
            except TimeoutError:
                raise _refused(part, f"it did not come within {self._limits.seconds:g} s") from None
            found.append(content)
            size += len(content)
            if size > self._limits.request_bytes:
                most = self._limits.request_bytes
                raise _refused(part, f"all files of a request may have {most} bytes")
        return found

    def _file(self, part: MediaPart) -> bytes:
        if part.base64 is not None:
            return self._decoded(part, part.base64)
        url = (part.url or "").strip()
        if url[:5].lower() == "data:":
            return self._of_data_uri(part, url)
        if not url.lower().startswith(_SCHEMES):
            expected = "expected a data: URI with base64, or an http(s) address"
            raise _refused(part, expected)
        if not self._limits.fetch_urls:
            raise UnsupportedField(
                part.field, "addresses are not fetched; send a data: URI, or set media.allow_urls"
            )
        try:
            return self._fetcher.fetch(url)
        except FetchFailed as failed:
            raise _refused(part, str(failed)) from failed

    def _of_data_uri(self, part: MediaPart, uri: str) -> bytes:
        head, comma, data = uri.partition(",")
        kind, *options = head[5:].lower().split(";")
        if not comma or "base64" not in options:
            raise _refused(part, f"expected data:{part.medium}/...;base64,...")
        if kind and not kind.startswith(f"{part.medium}/"):
            raise _refused(part, f"expected {part.medium}/..., got {kind[:64]!r}")
        return self._decoded(part, data)

    def _decoded(self, part: MediaPart, data: str) -> bytes:
        if len(data) > self._limits.file_bytes * 4 // 3 + 4:
            raise _refused(part, f"expected at most {self._limits.file_bytes} bytes")
        try:
            content = b64decode("".join(data.split()), validate=True)
        except (binascii.Error, ValueError):
            raise _refused(part, "it is not valid base64") from None
        if not content:
            raise _refused(part, "the file is empty")
        if len(content) > self._limits.file_bytes:
            raise _refused(part, f"expected at most {self._limits.file_bytes} bytes")
        return content


def _refused(part: MediaPart, why: str) -> InvalidRequest:
    return InvalidRequest(f"{part.field}: {why}", field=part.field)
