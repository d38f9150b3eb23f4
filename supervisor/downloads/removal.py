"""Say what of a model may be deleted, and delete it; for the daemon and for `mlxctl` without one."""

from collections.abc import Iterable
from pathlib import Path

from mlxd.config.hub_cache import HubCache
from mlxd.config.spec import ModelSpec
from mlxd.protocol.errors import InvalidRequest, ModelBusy
from mlxd.supervisor.downloads.store import RepoStore


def removable(spec: ModelSpec, cache: Path) -> tuple[str, Path]:
    """Return repository and folder of a cached model; raises InvalidRequest for every other one."""
    if spec.source == "embedded":
        reason = "comes with mlxd; `demo: false` in the configuration hides it"
    elif spec.hub_id is None:
        reason = f"is your own folder {spec.path}, which mlxd does not delete"
    elif not (place := cache / HubCache.folder_name(spec.hub_id)).is_dir():
        reason = "is not on this disk"
    else:
        return spec.hub_id, place
    raise InvalidRequest(f"model {spec.id} {reason}", field="model")


def users_of(place: Path, models: Iterable[ModelSpec]) -> list[ModelSpec]:
    """Return the models that read files below a folder, each once."""
    found = {}
    for spec in models:
        read = (spec.path, spec.draft_model, spec.adapter)
        if any(path is not None and path.is_relative_to(place) for path in read):
            found[spec.id] = spec
    return list(found.values())


def remove_from_disk(cache: Path, journal: Path, repo: str) -> int:
    """Delete a repository from the cache and return the bytes that came free; raises ModelBusy while one comes."""
    store = RepoStore(cache, journal, repo)
    try:
        with store.locked():
            return store.remove()
    except BlockingIOError:
        raise ModelBusy(f"model {repo} is being downloaded", field="model") from None
    except OSError as error:
        sentence = f"model {repo} cannot be deleted: {error.filename}: {error.strerror}"
        raise InvalidRequest(sentence, field="model") from None
