"""Turn a configured entry, or a folder nobody configured, into the model that will run."""

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mlxd.config import kv_cache, model_folder
from mlxd.config.hub_cache import HubCache
from mlxd.config.model_folder import ModelFolder
from mlxd.config.settings import Defaults, ModelEntry, PromptCache, Settings
from mlxd.config.spec import ModelSpec, Origin
from mlxd.protocol.generation import KvCache, SamplingDefaults
from mlxd.protocol.kinds import ModelKind

T = TypeVar("T")
_WRITES = (ModelKind.TEXT, ModelKind.VISION)


@dataclass(frozen=True)
class _Parts:
    """Hold what an entry adds to its model's folder, or the first of it that is not on this disk."""

    chat_template: str | None = None
    adapter: Path | None = None
    draft: ModelFolder | None = None
    problem: str | None = None


def described(
    folder: ModelFolder,
    defaults: Defaults,
    *,
    id: str,
    source: Origin,
    aliases: tuple[str, ...] = (),
    hub_id: str | None = None,
    revision: str | None = None,
    trusted: bool = False,
) -> ModelSpec:
    """Return the model in a folder, treated as the defaults say."""
    return ModelSpec(
        id=id,
        kind=folder.kind,
        path=folder.path,
        aliases=aliases,
        idle_timeout=defaults.idle_timeout,
        max_batch=defaults.max_batch,
        prompt_cache=PromptCache(
            memory=defaults.prompt_cache_memory, disk=defaults.prompt_cache_disk
        ),
        overflow=defaults.overflow,
        context_length=folder.context_length,
        weights_bytes=folder.weights_bytes,
        quantization_bits=folder.quantization_bits,
        kv_bytes_per_token=folder.kv_bytes_per_token,
        source=source,
        hub_id=hub_id,
        revision=revision,
        architecture=folder.architecture,
        created=folder.created,
        trust_remote_code=trusted,
        error=_why_not(id, folder, hub_id, trusted=trusted),
    )


def spec(entry: ModelEntry, settings: Settings, hub: HubCache) -> ModelSpec:
    """Return a configured model; what is missing on this disk becomes its error, not a failure of the daemon."""
    source = entry.source or entry.id
    folder, revision, hub_id = _folder(source, hub)
    found = described(
        folder,
        settings.defaults,
        id=entry.id,
        source="config",
        aliases=entry.aliases,
        hub_id=hub_id,
        revision=revision,
        trusted=entry.trust_remote_code,
    )
    parts = _parts(entry, hub)
    kept = _kept(entry)
    return dataclasses.replace(
        found,
        pin=entry.pin,
        idle_timeout=_first(entry.idle_timeout, found.idle_timeout),
        max_batch=_first(entry.max_batch, found.max_batch),
        context_length=_first(entry.context_length, found.context_length),
        overflow=_first(entry.overflow, found.overflow),
        prompt_cache=_prompt_cache(entry.prompt_cache or PromptCache(), settings.defaults),
        kv_cache=kept,
        sampling=entry.sampling or SamplingDefaults(),
        system_prompt=entry.system_prompt,
        chat_template=parts.chat_template,
        adapter=parts.adapter,
        draft_model=parts.draft.path if parts.draft else None,
        draft_name=_name(entry.draft_model),
        prompt_lookup=entry.prompt_lookup,
        weights_bytes=found.weights_bytes + (parts.draft.weights_bytes if parts.draft else 0),
        draft_bytes=parts.draft.weights_bytes if parts.draft else 0,
        kv_bytes_per_token=_growth(kv_cache.in_memory(found.kv_bytes_per_token, kept), parts.draft),
        error=found.error or _wrong_entry(entry, parts, found.kind),
    )


def _name(source: str | None) -> str | None:
    return Path(source).name if source is not None and os.path.isabs(source) else source


def _kept(entry: ModelEntry) -> KvCache | None:
    if entry.kv_cache is None or entry.kv_cache == KvCache():
        return None
    return entry.kv_cache.resolved()


def _growth(own: int | None, draft: ModelFolder | None) -> int | None:
    """Return what a token takes in the caches of a model and of the one that guesses for it."""
    if own is None or draft is None:
        return own
    return own + (draft.kv_bytes_per_token or 0)


def _wrong_entry(entry: ModelEntry, parts: _Parts, kind: ModelKind) -> str | None:
    problem = parts.problem
    if problem is None and entry.draft_model and kind is not ModelKind.TEXT:
        problem = f"draft_model: only text models take one, and this one is of kind {kind}"
    if problem is None and entry.prompt_lookup and kind not in _WRITES:
        problem = f"prompt_lookup: a model of kind {kind} writes no text to look ahead in"
    if problem is None and entry.kv_cache is not None:
        problem = entry.kv_cache.problem()
        if problem is None and kind is not ModelKind.TEXT:
            problem = f"kv_cache: only text models take it, and this one is of kind {kind}"
    return problem and f"model {entry.id}: {problem}"


def _prompt_cache(set_here: PromptCache, defaults: Defaults) -> PromptCache:
    return PromptCache(
        memory=_first(set_here.memory, defaults.prompt_cache_memory),
        disk=_first(set_here.disk, defaults.prompt_cache_disk),
    )


def _first(set_here: T | None, otherwise: T) -> T:
    return otherwise if set_here is None else set_here


def _folder(source: str, hub: HubCache) -> tuple[ModelFolder, str | None, str | None]:
    """Return what stands at a source, and revision and hub id where it is of the hub."""
    if os.path.isabs(source):
        return model_folder.read(Path(source)), None, None
    model = hub.find(source)
    if model is not None:
        # The disk may take another case for it than it has, and one model must not be two.
        is_same = model.id.casefold() == source.casefold()
        return model.folder, model.revision, model.id if is_same else source
    absent = "it is not in the local Hugging Face cache"
    return ModelFolder(path=hub.path_of(source), missing=absent), None, source


def _why_not(id: str, folder: ModelFolder, hub_id: str | None, *, trusted: bool) -> str | None:
    if (problem := folder.why_not(trusted=trusted)) is not None:
        pull = f"; `mlxctl pull {hub_id}` gets it" if hub_id and folder.missing else ""
        return f"model {id} cannot be loaded from {folder.path}: {problem}{pull}"
    return None


def _parts(entry: ModelEntry, hub: HubCache) -> _Parts:
    template: str | None = None
    if entry.chat_template is not None:
        try:
            template = Path(entry.chat_template).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            return _Parts(problem=f"chat_template: {entry.chat_template} cannot be read: {error}")
    adapter = None if entry.adapter is None else Path(entry.adapter)
    if adapter is not None and not (adapter / "adapters.safetensors").is_file():
        return _Parts(template, problem=f"adapter: {adapter} has no adapters.safetensors")
    if entry.draft_model is None:
        return _Parts(template, adapter)
    draft, _, _ = _folder(entry.draft_model, hub)
    problem = (
        draft.problem and f"draft_model: {entry.draft_model} cannot be loaded: {draft.problem}"
    )
    if problem is None and draft.kind is not ModelKind.TEXT:
        problem = f"draft_model: {entry.draft_model} is of kind {draft.kind}, not text"
    return _Parts(template, adapter, draft, problem)
