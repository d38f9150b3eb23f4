"""A folder is read for what it is, and for why it could not be served, without touching a weight."""

import ast
import importlib.util
import os
import re
from pathlib import Path

import pytest
from support.model_folders import Content, text_files, write

from mlxd.config import architectures, model_folder
from mlxd.protocol.kinds import ModelKind

SHARDS = {f"model-0000{n}-of-00003.safetensors": b"w" * n for n in (1, 2, 3)}
INDEX: Content = {
    "weight_map": {f"layer.{n}": f"model-0000{n}-of-00003.safetensors" for n in (1, 2, 3)}
}
ODD: Content = {"weight_map": {"a": "model_a.safetensors", "b": "model_b.safetensors"}}


def files(*, without: tuple[str, ...] = (), **more: Content) -> dict[str, Content]:
    """Return a text model's files, less some and with others; `__` in a name stands for a dot."""
    changed = text_files() | {name.replace("__", "."): content for name, content in more.items()}
    return {name: content for name, content in changed.items() if name not in without}


def sharded(*, without: tuple[str, ...] = (), index: Content | None = INDEX) -> dict[str, Content]:
    """Return a model of three shards, less some files."""
    found = files(without=("model.safetensors",)) | SHARDS
    if index is not None:
        found["model.safetensors.index.json"] = index
    return {name: content for name, content in found.items() if name not in without}


def test_a_complete_text_model(tmp_path: Path) -> None:
    write(tmp_path, text_files(quantization={"bits": 4, "group_size": 64}))
    os.utime(tmp_path / "config.json", (1_700_000_000, 1_700_000_000))
    assert model_folder.read(tmp_path) == model_folder.ModelFolder(
        path=tmp_path,
        kind=ModelKind.TEXT,
        architecture="Qwen3ForCausalLM",
        context_length=4096,
        weights_bytes=100,
        quantization_bits=4,
        created=1_700_000_000,
    )


def test_shards_are_added_up(tmp_path: Path) -> None:
    folder = model_folder.read(write(tmp_path, sharded()))
    assert (folder.weights_bytes, folder.problem) == (6, None)


@pytest.mark.parametrize(
    "double", ["model-00001-of-00003.safetensors", "model.safetensors.index.json"]
)
def test_what_a_mac_puts_beside_files_on_a_disk_of_another_kind_is_none_of_the_model(
    tmp_path: Path, double: str
) -> None:
    # AppleDouble: man 1 dot_clean. Finder writes one for each file that it copies to an exFAT disk.
    found = files(without=("model.safetensors",)) | {
        "a.safetensors": b"w",
        f"._{double}": b"\0\5\x16\7",
    }
    embedder = found | {
        "modules.json": {},
        "model.safetensors.index.json": {"weight_map": {"w": "a.safetensors"}},
    }
    folder = model_folder.read(write(tmp_path, embedder))
    assert (folder.kind, folder.weights_bytes, folder.missing) == (ModelKind.EMBEDDING, 1, None)


def test_bits_of_other_quantizers_are_read_too(tmp_path: Path) -> None:
    write(tmp_path, text_files(quantization="q4", quantization_config={"bits": 8}))
    assert model_folder.read(tmp_path).quantization_bits == 8


@pytest.mark.parametrize(
    ("content", "missing"),
    [
        ({}, "it has no config.json"),
        (files(without=("model.safetensors",)), "it has no weights"),
        (files(model__safetensors=b""), "model.safetensors is missing"),
        (files(without=("tokenizer.json",)), "it has no tokenizer"),
        (sharded(without=("model-00002-of-00003.safetensors",)), "model-00002-of-00003.safetensors is missing"),
        (sharded(without=("model-00002-of-00003.safetensors",), index=None),
         "model-00002-of-00003.safetensors is missing"),
        (sharded(without=("model-00001-of-00003.safetensors", "model-00003-of-00003.safetensors")),
         "model-00001-of-00003.safetensors and 1 more are missing"),
        (sharded(without=tuple(SHARDS)), "model-00001-of-00003.safetensors and 2 more are missing"),
        (files(without=("model.safetensors",), model_a__safetensors=b"w") | {"model.safetensors.index.json": ODD},
         "model_b.safetensors is missing"),
        (files(without=("model.safetensors",), model_a__safetensors=b"w"), None),
        (sharded(without=tuple(SHARDS), index="{"), "the index of its weights cannot be read"),
        (sharded(without=tuple(SHARDS), index={}), "the index of its weights cannot be read"),
        (files(config__json="{"), "config.json cannot be read: "),
        (files(config__json="[]"), "config.json cannot be read: expected keys and values"),
        (files(config__json=b"\xff"), "config.json cannot be read: "),
        (files(config__json="[" * 100_000), "config.json cannot be read: "),
    ],
)  # fmt: skip
def test_what_is_missing_is_said(
    tmp_path: Path, content: dict[str, Content], missing: str | None
) -> None:
    folder = model_folder.read(write(tmp_path, content))
    assert folder.missing == folder.problem
    if missing is None:
        assert folder.missing is None
    else:
        assert folder.missing is not None and folder.missing.startswith(missing)


def test_an_index_counts_where_names_do_not_tell(tmp_path: Path) -> None:
    """Shards left over from another version of the same model are not missing ones."""
    folder = model_folder.read(
        write(tmp_path, sharded() | {"model-00001-of-00002.safetensors": b"old"})
    )
    assert folder.problem is None


def test_a_broken_link_is_a_missing_file(tmp_path: Path) -> None:
    write(tmp_path, text_files())
    for name in ("tokenizer.json", "model.safetensors", "config.json"):
        (tmp_path / name).unlink()
        (tmp_path / name).symlink_to("nowhere")
        missing = model_folder.read(tmp_path).missing
        assert missing is not None and missing.startswith(name)


@pytest.mark.parametrize("path", ["nowhere", "file", "\0"])
def test_no_folder_is_no_error_of_ours(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_text("")
    folder = model_folder.read(tmp_path / path)
    assert folder.missing is not None
    assert "folder" in folder.missing


@pytest.mark.parametrize(
    ("content", "unusable"),
    [
        (files(without=("model.safetensors",), pytorch_model__bin=b"w"), "its weights are PyTorch's; "),
        (files(without=("model.safetensors",), model__gguf=b"w"), "its weights are GGUF; "),
        (text_files(model_type="no_such_type"), "this version of mlx-lm does not know the model type 'no_such_type'"),
        (text_files(model_type=None, architectures=None), "its config.json fits no kind of model that mlxd knows"),
        (text_files(model_type=5), "config.json names no model_type"),
    ],
)  # fmt: skip
def test_what_no_download_would_mend_is_said_apart(
    tmp_path: Path, content: dict[str, Content], unusable: str
) -> None:
    folder = model_folder.read(write(tmp_path, content))
    assert folder.missing is None
    assert folder.unusable is not None and folder.unusable.startswith(unusable)
    assert folder.problem == folder.unusable


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (text_files(model_file="model.py"), "a model_file"),
        (
            text_files(
                model_type="qwen2_vl", vision_config={}, auto_map={"AutoModel": "m.M"}
            ) | {"preprocessor_config.json": b"{}"},
            "an auto_map",
        ),
    ],
)  # fmt: skip
def test_code_of_the_folders_own_needs_the_users_trust(
    tmp_path: Path, content: dict[str, Content], names: str
) -> None:
    folder = model_folder.read(write(tmp_path, content))
    assert folder.problem is not None
    assert folder.problem.startswith(f"config.json names {names}, code of its own to run")
    assert "trust_remote_code: true" in folder.problem
    assert folder.why_not(trusted=True) is None


def test_an_auto_map_that_mlx_lm_leaves_alone_is_no_reason(tmp_path: Path) -> None:
    content = text_files(auto_map={"AutoModelForCausalLM": "modeling.Model"})
    assert model_folder.read(write(tmp_path, content)).problem is None


def test_models_that_see_are_served_where_their_batch_was_seen_to_be_right(tmp_path: Path) -> None:
    content = text_files(model_type="llava_next", vision_config={})
    folder = model_folder.read(write(tmp_path, content | {"processor_config.json": b"{}"}))
    assert folder.kind is ModelKind.VISION
    assert folder.unusable is not None and "qwen2_vl" in folder.unusable


def test_infinity_in_a_config_is_read_as_python_writes_it(tmp_path: Path) -> None:
    write(tmp_path, text_files(model_type="mamba2", time_step_limit=[0.0, float("inf")]))
    assert b"Infinity" in (tmp_path / "config.json").read_bytes()
    assert model_folder.read(tmp_path).problem is None


@pytest.mark.parametrize("name", ["tokenizer.model", "vocab.json", "tekken.json", "qwen.tiktoken"])
def test_any_tokenizer_will_do(tmp_path: Path, name: str) -> None:
    write(tmp_path, files(without=("tokenizer.json",)) | {name: "x"})
    assert model_folder.read(tmp_path).problem is None


def test_only_what_mlx_lm_reads_counts_as_a_text_models_weights(tmp_path: Path) -> None:
    write(tmp_path, text_files() | {"consolidated.safetensors": b"w" * 50, "model.npz": b"w"})
    assert model_folder.read(tmp_path).weights_bytes == 100


def test_other_kinds_may_name_their_weights_freely_and_need_no_tokenizer(tmp_path: Path) -> None:
    write(tmp_path, {"config.json": {"model_type": "whisper"}, "weights.npz": b"w" * 7})
    folder = model_folder.read(tmp_path)
    assert (folder.kind, folder.weights_bytes, folder.problem) == (ModelKind.TRANSCRIPTION, 7, None)


def test_the_name_given_counts_where_the_folders_own_says_nothing(tmp_path: Path) -> None:
    write(tmp_path, text_files())
    assert model_folder.read(tmp_path, "org/Qwen3-Embedding-0.6B").kind is ModelKind.EMBEDDING


class TestAnImageModel:
    """A diffusers layout: parts in folders of their own."""

    FILES: dict[str, Content] = {
        "model_index.json": {"_class_name": "ZImagePipeline"},
        "transformer/diffusion.safetensors": b"w" * 5,
        "vae/diffusion.safetensors": b"w" * 3,
        "vae_note.txt": "x",
        "scheduler/scheduler_config.json": {},
    }

    def test_its_parts_are_added_up(self, tmp_path: Path) -> None:
        folder = model_folder.read(write(tmp_path, self.FILES))
        assert (folder.kind, folder.weights_bytes, folder.problem) == (ModelKind.IMAGE, 8, None)

    def test_a_part_without_weights_is_named(self, tmp_path: Path) -> None:
        folder = model_folder.read(write(tmp_path, {**self.FILES, "text_encoder/config.json": {}}))
        assert folder.missing == "text_encoder: it has no weights"

    def test_no_part_at_all_is_no_model(self, tmp_path: Path) -> None:
        folder = model_folder.read(write(tmp_path, {"model_index.json": {}}))
        assert folder.missing == "it has no weights"


class TestArchitectures:
    """What mlx-lm can load is known without importing it."""

    def test_renamed_types_are_those_of_mlx_lm(self) -> None:
        found = importlib.util.find_spec("mlx_lm")
        if found is None or found.origin is None:
            pytest.skip("mlx-lm is not installed")
        source = Path(found.origin).with_name("utils.py").read_text()
        table = re.search(r"^MODEL_REMAPPING = ({.*?^})", source, re.MULTILINE | re.DOTALL)
        assert table is not None
        assert architectures.RENAMED == ast.literal_eval(table[1])

    def test_its_files_are_its_types(self) -> None:
        if importlib.util.find_spec("mlx_lm") is None:
            pytest.skip("mlx-lm is not installed")
        assert {"llama", "qwen3", "gemma3", "gpt_oss"} <= architectures.text_models()
        assert architectures.why_not({"model_type": "mistral"}) is None

    def test_without_mlx_lm_no_type_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(architectures, "text_models", lambda: frozenset())
        assert architectures.why_not({"model_type": "anything"}) is None
