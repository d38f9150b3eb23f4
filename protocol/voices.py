"""Find out from a model's folder which voices it has; whoever asks, and whoever speaks, take them from here."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

_FOLDERS = ("voices", "embeddings")
_SUFFIX = ".safetensors"
_ALONE = "default-voice.safetensors"
_PACKED = "voices.npz"
_ORPHEUS = ("tara", "leah", "jess", "leo", "dan", "mia", "zac", "zoe")
"""What a llama that speaks was taught to be called; no file says so."""
_READABLE = ("a", "b", "e", "f", "h", "i", "p")
"""First letters of the names of a Kokoro's voices whose languages can be read here; not Japanese, not Chinese."""
_FIRST = ("default", "alba", "af_heart")


def names(folder: Path) -> list[str]:
    """Return the voices' names in order; none where the model has but one, without a name."""
    files = (file for name in _FOLDERS for file in (folder / name).glob(f"*{_SUFFIX}"))
    # Where a disk keeps no attributes, as with exFAT, macOS writes them into a file ._NAME beside each one.
    found = {file.stem for file in files if file.is_file() and not file.name.startswith("._")}
    if (folder / _ALONE).is_file():
        found.add("default")
    config = _config(folder)
    if is_kokoro(config):
        return sorted(name for name in found if name.startswith(_READABLE))
    return sorted(found | _packed(folder / _PACKED) | _configured(config))


def is_kokoro(config: Mapping[str, object]) -> bool:
    """Tell a Kokoro, whose phonemes come from outside of it."""
    return config.get("model_type") == "kokoro" or {"istftnet", "plbert"} <= config.keys()


def default(found: list[str]) -> str | None:
    """Return the voice that is used where none is asked for."""
    return next((name for name in _FIRST if name in found), found[0] if found else None)


def _packed(file: Path) -> set[str]:
    try:
        with zipfile.ZipFile(file) as packed:
            return {name.removesuffix(".npy") for name in packed.namelist()}
    except (OSError, zipfile.BadZipFile):
        return set()


def _configured(config: Mapping[str, object]) -> set[str]:
    if config.get("model_type") == "llama":
        return set(_ORPHEUS)
    talker = config.get("talker_config")
    speakers = talker.get("spk_id") if isinstance(talker, Mapping) else None
    return set(map(str, speakers)) if isinstance(speakers, Mapping) else set()


def _config(folder: Path) -> Mapping[str, object]:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return config if isinstance(config, dict) else {}
