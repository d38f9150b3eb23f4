"""Bring models to this disk and take them away again.

Nothing else in the daemon makes a connection to the hub, and this only when somebody asks by name.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

import msgspec

from mlxd.config.paths import Paths
from mlxd.config.settings import Settings
from mlxd.protocol.downloads import Order, Progress, Removed, Unfinished
from mlxd.protocol.errors import ModelBusy, ShuttingDown
from mlxd.protocol.lifecycle import ALIVE
from mlxd.supervisor.downloads import store as downloads_store
from mlxd.supervisor.downloads.files import parse_repo
from mlxd.supervisor.downloads.fit import budget, fits, journal_of
from mlxd.supervisor.downloads.removal import removable, remove_from_disk, users_of
from mlxd.supervisor.downloads.run import DownloadRun
from mlxd.supervisor.ports import Catalog, Pool

_Key = tuple[str, str | None, str | None, bool]


class Downloads:
    """Run at most one process per repository and revision, whoever asks for it."""

    def __init__(
        self,
        paths: Paths,
        catalog: Catalog,
        pool: Pool,
        *,
        settings: Settings,
        refresh: Callable[[], None] | None = None,
    ) -> None:
        self._paths = paths
        self._catalog = catalog
        self._pool = pool
        self._settings = settings
        self._refresh = refresh
        self._runs: dict[_Key, DownloadRun] = {}
        self._closed = False

    @property
    def is_busy(self) -> bool:
        """Tell whether anything comes right now."""
        return any(not run.is_over for run in self._runs.values())

    def refresh(self) -> None:
        """Have the catalogue look at the disk now."""
        (self._refresh or self._catalog.rescan)()

    async def pull(
        self,
        repo: str,
        revision: str | None = None,
        *,
        token: str | None = None,
        dry_run: bool = False,
    ) -> AsyncGenerator[Progress]:
        """Yield how far the download of `ORG/NAME` or `ORG/NAME@REVISION` is; the last one is `done`.

        Two that ask for the same share one download. When the last one stops iterating (`aclose`), it ends, and what
        has come is kept for the next. A dry run yields one `planned`. Raises InvalidRequest, RepoNotFound, HubRefused,
        HubUnreachable, DiskFull.
        """
        repo, revision = parse_repo(repo, revision)
        run = self._run(repo, revision, token, dry_run)
        run.followers += 1
        steps = run.follow()
        try:
            async for progress in steps:
                if progress.status == "done":
                    self.refresh()
                yield self._judged(progress)
        finally:
            run.followers -= 1
            await steps.aclose()
            if not run.followers:
                self._forget(run)
                await asyncio.shield(run.end())

    def unfinished(self) -> list[Unfinished]:
        """Return the models of which only a part is here, those that come right now included."""
        cache, journal = self._paths.hub_cache, journal_of(self._paths)
        coming = {run.order.model for run in self._runs.values() if not run.is_over}
        found = downloads_store.unfinished(cache, journal)
        return [
            msgspec.structs.replace(half, running=True) if half.model in coming else half
            for half in found
        ]

    async def remove(self, name: str, *, force: bool = False) -> Removed:
        """Delete a model of the hub's cache; one that is loaded is unloaded first with `force`, else refused.

        Raises ModelNotFound, ModelBusy, and InvalidRequest for what is not in the cache.
        """
        self._refuse_while_coming(name)
        self.refresh()
        spec = self._catalog.resolve(name)
        repo, place = removable(spec, self._paths.hub_cache)
        self._refuse_while_coming(repo)
        running = [
            user
            for user in users_of(place, [spec, *self._catalog.models()])
            if self._pool.state(user.id) in ALIVE
        ]
        if running and not force:
            names = ", ".join(user.id for user in running)
            raise ModelBusy(f"model {names} is loaded; force unloads it first", field="model")
        for user in running:
            await self._pool.unload(user, force=True)
        journal = journal_of(self._paths)
        freed = await asyncio.to_thread(remove_from_disk, self._paths.hub_cache, journal, repo)
        self.refresh()
        unloaded = [user.id for user in running]
        return Removed(model=repo, path=str(place), freed_bytes=freed, unloaded=unloaded)

    async def close(self) -> None:
        """End every download; what has come is kept."""
        self._closed = True
        reason = ShuttingDown("mlxd is stopping; pull again to resume")
        runs = list(self._runs.values())
        await asyncio.gather(*(run.end(reason) for run in runs))

    def _run(self, repo: str, revision: str | None, token: str | None, dry: bool) -> DownloadRun:
        if self._closed:
            raise ShuttingDown("mlxd is stopping")
        key = (repo, revision, token, dry)
        run = self._runs.get(key)
        if run is None or run.is_over:
            order = Order(
                model=repo,
                revision=revision,
                cache=str(self._paths.hub_cache),
                journal=str(journal_of(self._paths)),
                token=token,
                dry_run=dry,
            )
            run = self._runs[key] = DownloadRun(order)
        return run

    def _refuse_while_coming(self, repo: str) -> None:
        if any(run.order.model == repo and not run.is_over for run in self._runs.values()):
            raise ModelBusy(f"model {repo} is being downloaded", field="model")

    def _forget(self, run: DownloadRun) -> None:
        for key in [key for key, known in self._runs.items() if known is run]:
            with contextlib.suppress(KeyError):
                del self._runs[key]

    def _judged(self, progress: Progress) -> Progress:
        if not progress.revision:
            return progress
        return msgspec.structs.replace(
            progress, fits=fits(progress.weights_bytes, budget(self._settings))
        )
