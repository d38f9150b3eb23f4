"""Loading a text model: what it refuses, what it can take on top, and models that cannot share a batch."""

import json
import threading
from pathlib import Path
from typing import Any, cast

import mlx.core as mx
import pytest
from mlx.utils import tree_flatten
from mlx_lm.models.cache import ConcatenateKVCache
from support import tiny_models
from support.engine_rig import Rig, alone, lane, prompt, request

from mlxd.protocol.errors import ModelLoadFailed
from mlxd.protocol.kinds import ModelKind
from mlxd.protocol.spec import WorkerSpec
from mlxd.workers import limits, weights
from mlxd.workers.engine.inbox import Inbox
from mlxd.workers.engine.self_test import speak
from mlxd.workers.kinds import text
from mlxd.workers.kinds.registry import Surroundings

Leaves = list[tuple[str, mx.array]]


def spec(folder: Path, **changes: Any) -> WorkerSpec:
    return WorkerSpec(model_id="m", kind=ModelKind.TEXT, path=str(folder), socket="", **changes)


def around() -> Surroundings:
    return Surroundings(
        inbox=Inbox(),
        granted=limits.Granted(1 << 34, 1 << 30, 0),
        progress=lambda done, total: None,
        beat=lambda steps, rows: None,
        leaving=threading.Event(),
    )


class OneByOne:
    """Wrap a model; its caches cannot be merged."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.layers = model.layers

    def make_cache(self) -> list[Any]:
        return [ConcatenateKVCache() for _ in self.layers]

    def __call__(self, tokens: mx.array, *, cache: list[Any] | None) -> mx.array:
        logits: mx.array = self._model(tokens, cache=cache)
        return logits


def test_a_model_that_cannot_batch_answers_one_row_at_a_time() -> None:
    normal = lane("qwen3")
    one = text.explore(OneByOne(normal.model), spec(Path("m")), 4096, frozenset(), 1 << 40)
    assert one.bounds.max_batch == 1 and speak(one) is one
    rig, items = Rig(one), [request(prompt(n, n), 6) for n in (5, 700, 1)]
    uids = rig.submit(*items)
    rig.step(3)
    assert rig.stats().waiting == 2
    rig.finish()
    for uid, item in zip(uids, items, strict=True):
        assert rig.tokens(uid) == alone(normal, item)


class Clumsy(OneByOne):
    """Wrap a model that fails wherever two rows meet, though its caches say they can."""

    def make_cache(self) -> list[Any]:
        from mlx_lm.models.cache import KVCache

        return [KVCache() for _ in self.layers]

    def __call__(self, tokens: mx.array, *, cache: list[Any] | None) -> mx.array:
        if tokens.shape[0] > 1:
            raise ValueError("one row only")
        return super().__call__(tokens, cache=cache)


def test_a_model_that_fails_in_a_batch_is_served_one_row_at_a_time() -> None:
    model = text.explore(Clumsy(lane("qwen3").model), spec(Path("m")), 4096, frozenset(), 1 << 40)
    assert model.bounds.max_batch == 32
    assert speak(model).bounds.max_batch == 1


class Mute(OneByOne):
    """Wrap a model that cannot generate."""

    def __call__(self, tokens: mx.array, *, cache: list[Any] | None) -> mx.array:
        raise ValueError("no voice")


def test_a_model_without_a_token_fails_its_load() -> None:
    from dataclasses import replace

    with pytest.raises(ModelLoadFailed, match="no voice"):
        speak(replace(lane("qwen3"), model=Mute(lane("qwen3").model)))


def test_everything_is_evaluated_on_the_loading_thread() -> None:
    """Fact T2: nothing lazy may be left for another thread, buffers outside the parameters included."""
    scaling = json.dumps({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                          "high_freq_factor": 4.0, "original_max_position_embeddings": 8192})  # fmt: skip
    folder = tiny_models.folder("llama", "--set", f"rope_scaling={scaling}")
    made: list[Any] = []

    def load() -> None:
        stream = mx.new_stream(mx.default_device())
        with mx.stream(stream):
            model, _ = text.build(folder, spec(folder))
            weights.read(model, lambda done, total: None, lambda: False)
        made.append(model)
        mx.synchronize(stream)

    thread = threading.Thread(target=load)
    thread.start()
    thread.join()
    arrays, parameters = weights.arrays_of(made[0]), tree_flatten(made[0].parameters())
    assert len(arrays) > len(parameters), "this model has no buffers to test with"
    logits = made[0](mx.array([[1, 2, 3]]))
    mx.eval(logits)


def adapter(folder: Path, base: Path) -> Path:
    """Write a LoRA adapter that changes the model."""
    from mlx_lm.tuner.utils import linear_to_lora_layers

    parameters = {"rank": 2, "scale": 20.0, "dropout": 0.0, "keys": ["self_attn.q_proj"]}
    model, _ = text.build(base, spec(base))
    model.freeze()
    linear_to_lora_layers(model, 2, parameters)
    trained = {
        name: mx.random.normal(value.shape, key=mx.random.key(1))
        for name, value in cast(Leaves, tree_flatten(model.trainable_parameters()))
    }
    folder.mkdir()
    mx.save_safetensors(str(folder / "adapters.safetensors"), trained)
    config = {"fine_tune_type": "lora", "num_layers": 2, "lora_parameters": parameters}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def test_an_adapter_changes_the_answers(tmp_path: Path) -> None:
    base = tiny_models.folder("qwen3")
    made = adapter(tmp_path / "adapter", base)
    model, _ = text.build(base, spec(base, adapter=str(made)))
    mx.eval(model)
    adapted = text.explore(model, spec(base), 4096, frozenset(), 1 << 40)
    item = request(prompt(9, 1), 10)
    assert alone(adapted, item) != alone(lane("qwen3"), item)


def test_an_adapter_that_is_missing_fails_the_load(tmp_path: Path) -> None:
    base = tiny_models.folder("qwen3")
    with pytest.raises(ModelLoadFailed, match="nowhere"):
        text.build(base, spec(base, adapter=str(tmp_path / "nowhere")))


def test_a_loaded_model_knows_its_window_its_weights_and_its_end_tokens() -> None:
    folder = tiny_models.folder("llama", "--context", "512")
    served = text.load(spec(folder, context_length=300, chat_template="{{ messages }}"), around())
    assert served.context_length == 300
    stored = cast(dict[str, mx.array], mx.load(str(folder / "model.safetensors")))
    assert served.weights_bytes == sum(value.nbytes for value in stored.values())
    model = served.app.state.pipeline.model
    names = ("<|eot_id|>", "<|end_of_text|>")
    assert {model.tokenizer.convert_tokens_to_ids(name) for name in names} <= model.eos_token_ids
    assert model.tokenizer.chat_template == "{{ messages }}"
    assert model.vocab_size == 1536
    served.free()


def test_a_load_is_given_up_when_the_worker_is_told_to_leave() -> None:
    surroundings = around()
    surroundings.leaving.set()
    with pytest.raises(weights.LoadStopped):
        text.load(spec(tiny_models.folder("qwen3")), surroundings)


def test_a_broken_tokenizer_fails_the_load(tmp_path: Path) -> None:
    folder = tiny_models.copy("qwen3", tmp_path / "broken")
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(ModelLoadFailed, match="tokenizer"):
        text.load(spec(folder), around())


def test_weights_that_are_not_finite_fail_the_load(tmp_path: Path) -> None:
    folder = tiny_models.copy("qwen3", tmp_path / "broken")
    arrays = cast(dict[str, mx.array], mx.load(str(folder / "model.safetensors")))
    broken = {name: array * float("nan") for name, array in arrays.items()}
    mx.save_safetensors(str(folder / "model.safetensors"), broken, metadata={"format": "mlx"})
    with pytest.raises(ModelLoadFailed, match="not finite"):
        text.load(spec(folder), around())


def test_freeing_a_model_gives_its_memory_back() -> None:
    """Promise A1, inside the process; what the process itself holds comes back when it ends."""
    folder = tiny_models.folder("qwen3", "--hidden", "512", "--layers", "4")
    mx.clear_cache()
    before = mx.get_active_memory()
    served = text.load(spec(folder), around())
    assert mx.get_active_memory() > before + served.weights_bytes * 0.9
    served.free()
    mx.clear_cache()
    assert mx.get_active_memory() < before + (1 << 20)
