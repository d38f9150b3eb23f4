"""Give a Kokoro its phonemes by espeak-ng alone: the usual way needs torch and a model that has to be downloaded."""

from pathlib import Path
from typing import Any

LANGUAGES = {
    "a": "en-us",
    "b": "en-gb",
    "e": "es",
    "f": "fr-fr",
    "h": "hi",
    "i": "it",
    "p": "pt-br",
}
"""First letter of a voice's name -> its language; Japanese and Chinese have phonemes of their own."""
_GENERAL = "e"
"""The library's code for a language that is read by espeak-ng."""


def install(model: Any, folder: Path) -> None:
    """Give the model a pipeline for each language; raises ModuleNotFoundError where the extra is not installed."""
    from misaki.espeak import EspeakG2P
    from mlx_audio.tts.models.kokoro.pipeline import KokoroPipeline

    class Lazy(dict[str, Any]):
        """Make a language's pipeline when its first voice speaks."""

        def __missing__(self, letter: str) -> Any:
            made: Any = KokoroPipeline.__new__(KokoroPipeline)
            made.lang_code, made.model, made.voices = _GENERAL, model, {}
            made.repo_id, made.model_path = str(folder), folder
            made.g2p = EspeakG2P(LANGUAGES[letter])
            self[letter] = made
            return made

        def __contains__(self, letter: object) -> bool:
            return letter in LANGUAGES

    model._pipelines = Lazy()


def language(voice: str) -> str:
    """Return the letter of the language that a voice speaks."""
    return voice[:1]
