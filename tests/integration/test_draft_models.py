"""An entry's `draft_model` and `prompt_lookup` reach the worker, and what does not fit is said at load."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from conftest import RunDaemon
from support import tiny_models
from support.daemon_calls import batch, model
from support.engine_rig import Failing, lane

from mlxd.protocol.errors import ModelLoadFailed
from mlxd.protocol.kinds import ModelKind
from mlxd.protocol.spec import WorkerSpec
from mlxd.workers import tokenizer
from mlxd.workers.kinds import drafting, text

OTHER = ("--seed", "9", "--layers", "1")


def spec_of(kind: str, draft: Path | None, **changes: Any) -> WorkerSpec:
    folder = tiny_models.folder(kind)
    named = str(draft) if draft is not None else None
    return WorkerSpec(
        model_id=kind,
        kind=ModelKind.TEXT,
        path=str(folder),
        socket="",
        draft_model=named,
        **changes,
    )


def loaded(spec: WorkerSpec) -> tuple[Any, drafting.Drafting | None]:
    built, _ = text.build(Path(spec.path), spec)
    words = tokenizer.load(spec)
    return built, drafting.load(spec, built, words, lambda done, total: None, lambda: False)


def test_a_draft_brings_its_weights_window_and_cache() -> None:
    built, draft = loaded(spec_of("qwen3", tiny_models.folder("qwen3", *OTHER)))
    assert draft is not None
    assert draft.weights_bytes > 0
    assert draft.context_length == 32768
    own = text.explore(built, spec_of("qwen3", None), 4096, frozenset(), 1 << 40)
    assert 0 < draft.cache_shape.row_bytes(256) < own.bounds.cache_shape.row_bytes(256)


def test_another_vocabulary_is_refused_by_both_names() -> None:
    other = tiny_models.folder("qwen3", "--vocab", "1200")
    spec = spec_of("qwen3", other)
    with pytest.raises(ModelLoadFailed) as refused:
        loaded(spec)
    assert str(other) in refused.value.message
    assert spec.path in refused.value.message
    assert "tokens differ" in refused.value.message


def test_a_draft_without_weights_is_refused_by_its_name(tmp_path: Path) -> None:
    broken = tiny_models.copy("qwen3", tmp_path / "broken")
    for file in broken.glob("*.safetensors"):
        file.unlink()
    with pytest.raises(ModelLoadFailed, match="draft_model: .*broken"):
        loaded(spec_of("qwen3", broken))


@pytest.mark.parametrize("kind", ["hybrid", "mamba2"])
def test_a_model_with_recurrent_states_loads_no_draft_and_says_so(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        _, draft = loaded(spec_of(kind, tiny_models.folder("qwen3", *OTHER)))
    assert draft is None
    assert "nothing is guessed ahead" in caplog.text


@pytest.mark.parametrize("width", [1, 3])
def test_a_model_that_fails_when_it_reads_ahead_is_served_without_guesses(
    width: int, caplog: pytest.LogCaptureFixture
) -> None:
    model = lane("qwen3")
    odd = replace(model, model=Failing(model.model, lambda tokens: tokens.shape[1] == width))
    spec = spec_of("qwen3", None, prompt_lookup=4)
    assert drafting.speculation(spec, model, None) is not None
    with caplog.at_level(logging.WARNING):
        assert drafting.speculation(spec, odd, None) is None
    assert "nothing is guessed ahead: reading several tokens" in caplog.text


@pytest.mark.parametrize("kind", ["qwen3", "llama", "gemma3", "gpt_oss"])
def test_models_that_can_take_tokens_back_pass_the_trial(kind: str) -> None:
    assert drafting.trial(lane(kind).model) is None


def test_a_padded_vocabulary_of_another_width_serves(tmp_path: Path) -> None:
    wide = tiny_models.folder("qwen3", "--set", "vocab_size=1600")
    _, draft = loaded(spec_of("qwen3", wide))
    assert draft is not None


def test_the_daemon_serves_the_same_text_with_guesses_in_fewer_steps(
    running_daemon: RunDaemon,
) -> None:
    folder = str(tiny_models.folder("qwen3"))
    daemon = running_daemon(
        {
            "demo": False,
            "models": [
                model("plain"),
                model("twin", draft_model=folder),
                model("echo", prompt_lookup=6),
                model("wrong", draft_model=str(tiny_models.folder("qwen3", "--vocab", "1200"))),
            ],
        }
    )
    asked = {"prompt": "one two three one two three one", "max_tokens": 48, "ignore_eos": True}
    texts, stats = {}, {}
    for name in ("plain", "twin", "echo"):
        body = asked | {"model": name, "seed": 3, "temperature": 0.8}
        answer = daemon.post("/v1/completions", body)
        assert answer["usage"]["completion_tokens"] == 48
        texts[name] = answer["choices"][0]["text"]
        stats[name] = batch(daemon, name)
    assert texts["plain"] == texts["twin"] == texts["echo"]
    assert stats["plain"]["speculated"] == stats["plain"]["accepted"] == 0
    assert stats["twin"]["accepted"] == stats["twin"]["speculated"] > 30
    assert stats["twin"]["steps"] < stats["plain"]["steps"] / 2
    sizes = {entry["id"]: entry["weights_bytes"] for entry in daemon.ps()}
    assert sizes["twin"] == 2 * sizes["plain"]
    with pytest.raises(HTTPError) as refused:
        daemon.post("/v1/completions", asked | {"model": "wrong"})
    assert "does not have the vocabulary of" in refused.value.read().decode()
