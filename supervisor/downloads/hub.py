"""Talk to the hub: the one file that imports huggingface_hub, run only in a process of its own.

`snapshot_download` begins a file anew after every interruption, so the files are fetched one by one: each grows under
a name that the next attempt finds, and is taken only when its hash is right.
"""

import errno
import hashlib
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO, cast

from huggingface_hub import HfApi, constants, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import http_get
from huggingface_hub.hf_api import RepoFile as TreeFile
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

from mlxd.protocol.downloads import Found
from mlxd.protocol.errors import (
    DiskFull,
    HubRefused,
    HubUnreachable,
    InvalidRequest,
    MlxdError,
    RepoNotFound,
)
from mlxd.supervisor.downloads.files import RepoFile
from mlxd.supervisor.downloads.store import RepoStore

SPARE_BYTES = 64 << 20
"""What a download leaves free on the disk."""
_AT_A_TIME = 4
_BITS = {
    "F64": 64, "I64": 64, "U64": 64, "F32": 32, "I32": 32, "U32": 32, "F16": 16, "BF16": 16, "I16": 16,
    "U16": 16, "F8_E4M3": 8, "F8_E5M2": 8, "I8": 8, "U8": 8, "BOOL": 8, "F4": 4,
}  # fmt: skip
"""Bits of one number of a tensor, by the hub's name for its type."""
_READ_BYTES = 1 << 20
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_PAUSE_S = 1.0
"""Between two tries, so that a hub that breaks off is not asked all the time; this process does nothing else."""


# What is read at once is lost when the connection breaks, and is what progress is told in; 10 MB are too much for both.
constants.DOWNLOAD_CHUNK_SIZE = 1 << 18


class Stopped(Exception):
    """Say that another file failed."""


class Hub:
    """Ask and fetch with one token."""

    def __init__(self, token: str | None) -> None:
        self._token = token
        self._api = HfApi(token=token, library_name="mlxd", library_version=version("mlxd"))

    def survey(self, repo: str, revision: str | None) -> tuple[str, list[RepoFile]]:
        """Return the commit of a revision and every file in it."""
        commit = self._api.model_info(repo, revision=revision).sha
        if commit is None or not commit.isalnum():
            raise HubUnreachable(f"the hub names no commit of {repo}")
        tree = self._api.list_repo_tree(repo, recursive=True, revision=commit)
        files = [_file(entry) for entry in tree if isinstance(entry, TreeFile)]
        return commit, files

    def search(self, query: str, limit: int) -> list[Found]:
        """Return the MLX models that a query finds, those most often downloaded first."""
        told = ["safetensors", "downloads", "pipeline_tag", "gated"]
        found = self._api.list_models(
            search=query,
            filter="mlx",
            sort="downloads",
            limit=limit,
            expand=told,  # type: ignore[arg-type]
        )
        return [
            Found(
                model=info.id,
                weights_bytes=_tensor_bytes(info.safetensors),
                downloads=info.downloads or 0,
                task=info.pipeline_tag or "",
                gated=bool(info.gated),
            )
            for info in found
        ]

    def fetch(
        self,
        repo: str,
        commit: str,
        files: Sequence[RepoFile],
        store: RepoStore,
        advance: Callable[[int], None],
    ) -> None:
        """Bring all files here; `advance` hears of every byte that came, or less than none when some were lost."""
        stop = threading.Event()
        headers = build_hf_headers(token=self._token, library_name="mlxd")

        def bring(file: RepoFile) -> None:
            url = hf_hub_url(repo, file.path, revision=commit, endpoint=self._api.endpoint)
            _fetch(url, headers, file, store, _Growth(advance, stop))

        # Files that are equal byte for byte are one blob.
        wanted = {file.etag: file for file in files if not store.has(file)}
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            work = [pool.submit(bring, file) for file in wanted.values()]
            done, _ = wait(work, return_when=FIRST_EXCEPTION)
            stop.set() if any(task.exception() for task in done) else None
        failures = [error for task in work if (error := task.exception())]
        for error in sorted(failures, key=lambda error: isinstance(error, Stopped)):
            raise error


class _Growth:
    """Tell of bytes, and end the work where it makes no sense any more."""

    def __init__(self, advance: Callable[[int], None], stop: threading.Event) -> None:
        self.advance = advance
        self._stop = stop

    def check(self, path: Path) -> None:
        """Raise where another file failed or the disk runs full."""
        if self._stop.is_set():
            raise Stopped
        if shutil.disk_usage(path.parent).free < SPARE_BYTES // 2:
            raise OSError(errno.ENOSPC, "the disk is nearly full")


class _Sink:
    """Write to a file that grows, and count."""

    def __init__(self, file: BinaryIO, path: Path, growth: _Growth) -> None:
        self._file, self._path, self._growth = file, path, growth

    def write(self, chunk: bytes) -> int:
        """Append."""
        self._growth.check(self._path)
        written = self._file.write(chunk)
        self._file.flush()
        self._growth.advance(written)
        return written

    def truncate(self) -> int:
        """Drop what stands after the current position: the server began anew."""
        before = self._path.stat().st_size
        after = self._file.truncate()
        self._growth.advance(after - before)
        return after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _fetch(
    url: str, headers: dict[str, str], file: RepoFile, store: RepoStore, growth: _Growth
) -> None:
    partial = store.partial(file)
    if partial.exists() and partial.stat().st_size > file.size:
        partial.unlink()
    before = -1
    while True:
        size = partial.stat().st_size if partial.exists() else 0
        try:
            with partial.open("ab") as out:
                sink = cast(BinaryIO, _Sink(out, partial, growth))
                http_get(
                    url, sink, resume_size=size, headers=headers, expected_size=file.size,
                    displayed_filename=file.path,
                )  # fmt: skip
            break
        except Exception as error:
            # Each try that brought something earns another one.
            if not is_transport(error) or size <= before:
                raise
            before = size
            time.sleep(_PAUSE_S)
    if digest(partial, file) != file.etag:
        lost = partial.stat().st_size
        partial.unlink()
        growth.advance(-lost)
        raise HubUnreachable(f"{file.path} came damaged; pull again to fetch it anew")
    partial.replace(store.blob(file))


def digest(path: Path, file: RepoFile) -> str:
    """Return the hash that the hub names a file by."""
    large = len(file.etag) == 64
    found = hashlib.sha256() if large else hashlib.sha1(b"blob %d\0" % file.size)
    with path.open("rb") as content:
        while chunk := content.read(_READ_BYTES):
            found.update(chunk)
    return found.hexdigest()


def is_transport(error: BaseException) -> bool:
    """Tell whether the connection failed; huggingface_hub lets its HTTP library's own errors through."""
    return type(error).__module__.partition(".")[0].startswith("httpx")


def explained(error: BaseException, repo: str) -> MlxdError | None:
    """Return what a failure means to the one who pulls, None where it is none that anybody foresaw."""
    match error:
        case MlxdError():
            return error
        case OfflineModeIsEnabled():
            return HubUnreachable("HF_HUB_OFFLINE forbids connections to the hub; unset it to pull")
        case GatedRepoError():
            return HubRefused(f"{repo} is gated: accept its terms on the hub, then set HF_TOKEN")
        case RevisionNotFoundError():
            return RepoNotFound(f"{repo} has no such revision", field="revision")
        case RepositoryNotFoundError():
            sentence = f"the hub shows no repository {repo}; for a private one set HF_TOKEN"
            return RepoNotFound(sentence, field="model")
        case HFValidationError():
            return InvalidRequest(f"model: {error}", field="model")
        case HfHubHTTPError():
            return _of_status(error.response.status_code, repo)
        case OSError() if error.errno in _NO_ROOM:
            return DiskFull(
                f"the disk is full: {repo} was not kept; free some space and pull again"
            )
        case _ if is_transport(error):
            reason = str(error) or type(error).__name__
            return HubUnreachable(
                f"the connection to the hub failed: {reason}; pull again to resume"
            )
    return None


def _of_status(status: int, repo: str) -> MlxdError:
    if status == 401:
        return HubRefused("the hub does not accept the token: set HF_TOKEN to a valid one")
    if status == 403:
        return HubRefused(f"the hub forbids access to {repo} with this token")
    if status == 404:
        return RepoNotFound(f"the hub has no such file or repository: {repo}", field="model")
    return HubUnreachable(f"the hub answered HTTP {status}; pull again to resume")


def _tensor_bytes(told: Any) -> int | None:
    """Return the bytes of all tensors, None where the hub does not say how many there are."""
    if told is None or not told.parameters:
        return None
    sizes = (count * _BITS.get(kind, 16) // 8 for kind, count in told.parameters.items())
    return int(sum(sizes))


def _file(entry: TreeFile) -> RepoFile:
    if entry.lfs is not None:
        return RepoFile(entry.path, entry.lfs.size, entry.lfs.sha256)
    return RepoFile(entry.path, entry.size, entry.blob_id)
