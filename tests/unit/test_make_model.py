"""`scripts/make-model` writes complete, ordinary model folders and refuses what it does not know."""

import json
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "make-model"
KINDS = ("qwen3", "llama", "gemma3", "gpt_oss", "hybrid", "falcon_h1", "lfm2", "mamba2")
FILES = {
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
}


def make(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(SCRIPT), *map(str, arguments)], capture_output=True, text=True, timeout=200
    )


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_becomes_a_complete_folder(kind: str, tmp_path: Path) -> None:
    made = make(kind, tmp_path / "model")
    assert made.returncode == 0, made.stderr
    assert {file.name for file in (tmp_path / "model").iterdir()} == FILES
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["architectures"] and config["model_type"]
    assert config["vocab_size"] == 1536


def test_the_size_the_vocabulary_and_any_key_can_be_chosen(tmp_path: Path) -> None:
    made = make(
        *("qwen3", tmp_path, "--vocab", 640, "--hidden", 32, "--layers", 3, "--context", 512),
        *("--set", "rope_theta=5000.0"),
    )
    assert made.returncode == 0, made.stderr
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["vocab_size"], config["hidden_size"]) == (640, 32)
    assert (config["num_hidden_layers"], config["max_position_embeddings"]) == (3, 512)
    assert config["rope_theta"] == 5000.0
    assert len(json.loads((tmp_path / "tokenizer.json").read_text())["model"]["vocab"]) <= 640


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert make("llama", tmp_path / name, "--seed", seed).returncode == 0
    a, b, c = ((tmp_path / name / "model.safetensors").read_bytes() for name in "abc")
    assert a == b != c


def test_weights_can_be_split_over_files_named_in_an_index(tmp_path: Path) -> None:
    assert make("qwen3", tmp_path, "--shards", 2).returncode == 0
    placed = json.loads((tmp_path / "model.safetensors.index.json").read_text())["weight_map"]
    assert set(placed.values()) == {file.name for file in tmp_path.glob("model-*.safetensors")}
    assert len(set(placed.values())) == 2


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["no-such-kind"], "qwen3, llama, gemma3, gpt_oss"),
        (["qwen3", "--vocab", "12"], "at least 300"),
        (["qwen3", "--set", "rope_theta=oops"], "rope_theta"),
        (["qwen3", "--dialogs", "no-such-file"], "no-such-file"),
        (["qwen3", "--dtype", "int3"], "bfloat16"),
    ],
)
def test_wrong_usage_exits_2_and_says_what_was_expected(
    arguments: list[str], named: str, tmp_path: Path
) -> None:
    kind, *options = arguments
    made = make(kind, tmp_path / "model", *options)
    assert made.returncode == 2
    assert named in made.stderr
    assert not (tmp_path / "model").exists()
