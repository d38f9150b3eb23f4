"""Folders as mlx-whisper's own conversion writes them are heard as mlx-whisper hears them: no tokenizer, bare weights.

The expected words, times and languages are what mlx-whisper 0.4.3 makes of the same folders and samples.
"""

import json
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest
from support import sounds
from support.tiny_models import copy, folder

from mlxd.config import model_folder
from mlxd.protocol.errors import ModelLoadFailed
from mlxd.protocol.kinds import ModelKind
from mlxd.workers.kinds import transcription
from mlxd.workers.sound import library
from mlxd.workers.transcription import whisper, windows
from mlxd.workers.transcription.spoken import Listen

ENGLISH_ONLY = ("--set", "n_vocab=51864", "--seed", "2")
LARGE_V3 = ("--set", "n_vocab=51866", "--set", "n_mels=128")
QUANTIZED = ("--set", 'quantization={"group_size":32,"bits":8}')
EXPECTED: list[tuple[tuple[str, ...], str, list[tuple[str, float]]]] = [
    ((), "su", [(" ner", 0.0), (" YincribedcribedПр", 0.88), (" bereit", 1.4), (" Yin", 1.4), (" bereit", 1.5)]),
    (ENGLISH_ONLY, "en", [("atmealtherealultan", 0.3), (" Igor", 0.38), (" shortstop", 0.38), (" Igor", 0.38)]),
    (LARGE_V3, "tg", [("Maniacorn", 0.04), (" Morgencorncorn", 0.86), (" Includingcorn", 1.4)]),
    (QUANTIZED, "su", [(" ner", 0.0), (" YincribedcribedПр", 0.88), (" bereit", 1.4), (" Yin", 1.4)]),
]  # fmt: skip


def load(path: Path) -> whisper.Whisper:
    """Load a folder as a worker does."""
    model = transcription._model(path)
    library.check_complete(model, path)
    ears = whisper.adopt(model, path)
    ears.prove()
    return ears


def rewrite(path: Path, **weights: mx.array) -> None:
    """Change weights of a folder."""
    found = mx.load(str(path / "weights.npz"))
    assert isinstance(found, dict)
    mx.eval(found)  # read before the file is written over
    mx.savez(str(path / "weights.npz"), **(found | weights))


@pytest.mark.parametrize(
    ("options", "language", "words"),
    EXPECTED,
    ids=["multilingual", "English", "large-v3", "8 bits"],
)
def test_its_words_times_and_language_are_mlx_whisper_s(
    options: tuple[str, ...], language: str, words: list[tuple[str, float]]
) -> None:
    path = folder("whisper_bare", *options)
    assert sorted(file.name for file in path.iterdir()) == ["config.json", "weights.npz"]
    assert model_folder.read(path).problem is None
    ears, sound = load(path), sounds.chirp(4.0)
    # Without a language and words there is nothing to tell it but the sound.
    assert next(windows.hear(ears, Listen(sound))).language == language
    heard = next(windows.hear(ears, Listen(sound, language="en", words=True)))
    found = [(word.word, word.end) for segment in heard.segments for word in segment.words]
    assert [word for word, _ in found[: len(words)]] == [word for word, _ in words]
    assert [end for _, end in found[: len(words)]] == pytest.approx([e for _, e in words], abs=0.03)


def test_a_config_that_does_not_say_what_it_is_in_a_folder_named_by_a_digest_is_whisper(
    tmp_path: Path,
) -> None:
    path = copy("whisper_bare", tmp_path / "49e6aa286ad60c14352c404340ded53710378a11")
    config: dict[str, Any] = json.loads((path / "config.json").read_text())
    del config["model_type"]
    (path / "config.json").write_text(json.dumps(config))
    read = model_folder.read(path)
    assert (read.kind, read.problem) == (ModelKind.TRANSCRIPTION, None)
    assert load(path).is_multilingual


def test_weights_may_be_in_safetensors_too(tmp_path: Path) -> None:
    path = copy("whisper_bare", tmp_path / "model")
    found = mx.load(str(path / "weights.npz"))
    assert isinstance(found, dict)
    mx.save_safetensors(str(path / "weights.safetensors"), found)
    (path / "weights.npz").unlink()
    assert model_folder.read(path).problem is None
    assert load(path).model.alignment_heads.tolist() == [[1, 0]]


@pytest.mark.parametrize("heads", [[[7, 0]], [[0, -1]], [0, 1]])
def test_what_aligns_words_must_be_the_model_s(heads: list[Any], tmp_path: Path) -> None:
    path = copy("whisper_bare", tmp_path / "model")
    rewrite(path, alignment_heads=mx.array(heads))
    with pytest.raises(ModelLoadFailed, match="alignment_heads"):
        load(path)


def test_a_vocabulary_that_no_whisper_has_is_refused(tmp_path: Path) -> None:
    path = folder("whisper_bare", "--set", "n_vocab=50000")
    with pytest.raises(ModelLoadFailed, match="with 50000 tokens it is none of the known ones"):
        load(path)


def test_other_models_that_hear_are_listed_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "parakeet"}))
    (tmp_path / "model.safetensors").write_bytes(b"x")
    problem = model_folder.read(tmp_path).problem
    assert problem is not None and "whisper" in problem
