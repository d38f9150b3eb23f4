"""A cache that keeps less says the same where it may, something sound where it may not, and what it switches off."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import mlx.core as mx
import pytest
from conftest import RunDaemon
from mlx_lm.models.cache import RotatingKVCache
from support import greedy, tiny_models
from support.engine_rig import Rig, alone, lane, prompt, remembering, request

from mlxd.config import demo
from mlxd.protocol.errors import ModelLoadFailed
from mlxd.protocol.generation import KvCache
from mlxd.protocol.kinds import ModelKind
from mlxd.protocol.spec import WorkerSpec
from mlxd.workers.engine import batch as batches
from mlxd.workers.engine import kv_options
from mlxd.workers.engine.lane import Lane
from mlxd.workers.engine.self_test import speak
from mlxd.workers.kinds import text
from mlxd.workers.prompt_cache import caches

WIDE = ("--set", "head_dim=32")
"""Heads as wide as the smallest group."""
EIGHT = KvCache(bits=8, group_size=32).resolved()
KINDS = ("qwen3", "llama", "gemma3", "gpt_oss", "hybrid")
"""Full attention twice, sliding windows twice, linear attention."""


def window(tokens: int, keep: int) -> KvCache:
    """Return a cache of the newest tokens."""
    return KvCache(max_tokens=tokens, keep=keep).resolved()


def cache_bytes(rig: Rig) -> int:
    """Return what the rows' caches take."""
    rig.loop._show(full=True)
    return rig.stats().cache_bytes


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("keep", [0, 4])
def test_a_window_that_holds_everything_changes_no_token(kind: str, keep: int) -> None:
    plain, kept = lane(kind), lane(kind, kv_cache=window(1024, keep))
    asked = [request(prompt(length, length), 12) for length in (5, 90, 300)]
    rig = Rig(kept)
    uids = rig.submit(*asked)
    rig.finish()
    assert [rig.tokens(uid) for uid in uids] == [alone(plain, item) for item in asked]


@pytest.mark.parametrize("keep", [0, 4])
def test_a_window_is_all_that_is_kept_and_what_is_said_is_what_mlx_lm_says(keep: int) -> None:
    kept = lane("qwen3", kv_cache=window(64, keep))
    tokens = prompt(500, 1)
    rig = Rig(kept)
    (uid,) = rig.submit(request(tokens, 40))
    rig.step(30)
    shape = kept.bounds.cache_shape
    assert (
        0 < cache_bytes(rig) <= shape.row_bytes(64) + 64 * shape.growing[0][0] * len(shape.growing)
    )
    rig.finish()
    cache = [RotatingKVCache(max_size=64, keep=keep) for _ in kept.model.layers]
    greedy.prefill(kept.model, cache, tokens[:-1], step=1)
    assert rig.tokens(uid) == greedy.greedy(kept.model, cache, tokens[-1], 40)
    assert rig.tokens(uid) != alone(lane("qwen3"), request(tokens, 40))


@pytest.mark.parametrize("keep", [0, 4, 63])
@pytest.mark.parametrize("step", [7, 64, 100, 512])
def test_what_is_read_at_once_changes_nothing_about_what_each_token_sees(
    keep: int, step: int
) -> None:
    kept, tokens = lane("qwen3", kv_cache=window(64, keep)), prompt(400, 6)
    found = []
    for slice_of in (1, step):
        cache = batches.new_cache(kept.model)
        greedy.prefill(kept.model, cache, tokens[:-1], step=slice_of)
        logits = kept.model(mx.array([tokens[-1:]]), cache=cache)
        found.append(logits)
        for _ in range(2):  # and what is kept of it can be gone on from
            cache = [caches.tight(leaf) for leaf in cache]
            logits = kept.model(mx.array([tokens[:9]]), cache=cache)
        found.append(logits[:, -1])
    assert mx.allclose(found[0], found[2], atol=1e-4).item()
    assert mx.allclose(found[1], found[3], atol=1e-4).item()


@pytest.mark.parametrize("kind", ["qwen3", "gemma3", "hybrid"])
def test_rows_of_a_batch_that_outgrow_their_windows_say_what_each_says_alone(kind: str) -> None:
    kept = lane(kind, kv_cache=window(48, 0))
    asked = [request(prompt(length, length), 60) for length in (3, 30, 47, 48, 49, 200)]
    rig = Rig(kept)
    uids = rig.submit(*asked[:3])
    rig.step(20)
    uids += rig.submit(*asked[3:])
    rig.finish()
    assert [rig.tokens(uid) for uid in uids] == [alone(kept, item) for item in asked]


def test_rows_share_a_batch_unless_first_tokens_stay_or_numbers_are_quantized() -> None:
    assert lane("qwen3", kv_cache=window(64, 0)).bounds.max_batch == 32
    assert lane("qwen3", kv_cache=window(64, 4)).bounds.max_batch == 1
    assert lane("qwen3", *WIDE, kv_cache=EIGHT).bounds.max_batch == 1


@pytest.mark.parametrize("kind", ["qwen3", "llama", "gemma3"])
def test_eight_bits_say_what_mlx_lm_says_with_eight_bits(kind: str) -> None:
    kept, tokens = lane(kind, *WIDE, kv_cache=EIGHT), prompt(300, 2)
    reference = greedy.load(tiny_models.folder(kind, *WIDE))
    cache = [
        leaf.to_quantized(group_size=32, bits=8) if type(leaf).__name__ == "KVCache" else leaf
        for leaf in greedy.empty_cache(reference)
    ]
    greedy.prefill(reference, cache, tokens[:-1], step=512)
    assert alone(kept, request(tokens, 20)) == greedy.greedy(reference, cache, tokens[-1], 20)


def test_eight_bits_are_near_to_none_and_take_a_third_of_the_bytes() -> None:
    plain, kept = lane("qwen3", *WIDE), lane("qwen3", *WIDE, kv_cache=EIGHT)
    tokens = mx.array([prompt(200, 3)])
    exact, near = (
        model.model(tokens, cache=batches.new_cache(model.model))[0] for model in (plain, kept)
    )
    assert mx.isfinite(near).all().item()
    largest = mx.abs(exact).max()
    assert (mx.abs(exact - near).max() < 0.05 * largest).item()
    share = kept.bounds.cache_shape.row_bytes(1024) / plain.bounds.cache_shape.row_bytes(1024)
    # 32 numbers of 4 bytes become 32 bytes, a scale and a bias of 4 bytes each.
    assert share == pytest.approx((32 + 8) / 128)


def test_a_token_weighs_what_it_takes_and_not_what_it_takes_when_most_are_forgotten() -> None:
    plain, kept = lane("qwen3"), lane("qwen3", kv_cache=window(64, 4))
    spec = WorkerSpec(model_id="m", kind=ModelKind.TEXT, path="", socket="", kv_cache=window(64, 4))
    length = text.kept_length(spec, 4096)
    assert length == 64
    assert text.per_token(kept.bounds.cache_shape, length) == text.per_token(
        plain.bounds.cache_shape, 4096
    )


def test_requests_of_a_serial_cache_take_turns_and_choices_differ(tmp_path: Path) -> None:
    kept = lane("qwen3", *WIDE, kv_cache=EIGHT)
    rig = Rig(kept, remembering(kept, disk=tmp_path))
    asked = [request(prompt(40, 9), 8), request(prompt(40, 9), 8), request(prompt(25, 4), 8)]
    uids = rig.submit(*asked)
    rig.step()
    assert rig.stats().decode + rig.stats().prefill <= 1
    rig.finish()
    assert [rig.tokens(uid) for uid in uids] == [alone(kept, item) for item in asked]


OPTIONS = {"eight": EIGHT, "four": KvCache(bits=4, group_size=32).resolved(),
           "window": window(128, 0), "first": window(128, 4)}  # fmt: skip


@pytest.mark.parametrize("name", OPTIONS)
def test_a_growing_conversation_is_spared_what_is_known_and_answered_as_ever(
    name: str, tmp_path: Path
) -> None:
    kept = lane("qwen3", *WIDE, kv_cache=OPTIONS[name])
    said, known = prompt(60, 1), 0
    rig = Rig(kept, remembering(kept, disk=tmp_path))
    for turn in range(6):
        asked = request((*said, 7, 8), 6, ends=(len(said),))
        (uid,) = rig.submit(asked)
        rig.finish()
        answer = rig.tokens(uid)
        assert answer == again(kept, asked), f"turn {turn}"
        known += rig.cached(uid) > 0
        said = (*said, 7, 8, *answer, *prompt(30, turn))
    assert known == 5


def again(kept: Lane, asked: Any) -> list[int]:
    """Return the answer of a rig that knows nothing."""
    return alone(replace(kept), asked)


@pytest.mark.parametrize("name", OPTIONS)
def test_what_was_written_to_disk_is_gone_on_from(name: str, tmp_path: Path) -> None:
    kept = lane("qwen3", *WIDE, kv_cache=OPTIONS[name])
    asked = request(prompt(100, 5), 6, ends=(99,))
    first = Rig(kept, remembering(kept, disk=tmp_path))
    (uid,) = first.submit(asked)
    first.finish()
    while not first.loop._reuse.rest():
        pass
    later = Rig(kept, remembering(kept, disk=tmp_path))
    (other,) = later.submit(asked)
    later.finish()
    assert later.cached(other) >= 98
    assert later.tokens(other) == first.tokens(uid)


@pytest.mark.parametrize(
    ("kind", "shape", "options", "reason"),
    [
        ("mamba2", (), EIGHT, "no layer of this model keeps keys and values"),
        ("mamba2", (), window(64, 4), "no layer of this model keeps keys and values"),
        ("gpt_oss", WIDE, EIGHT, "attention sinks"),
        ("qwen3", (), EIGHT, "group"),
    ],
)
def test_a_model_that_cannot_do_it_is_not_loaded_and_the_option_is_named(
    kind: str, shape: tuple[str, ...], options: KvCache, reason: str
) -> None:
    with pytest.raises(ModelLoadFailed, match=f"^kv_cache: .*{reason}"):
        with kv_options.named(options):
            speak(lane(kind, *shape, kv_cache=options))


def test_the_demo_model_counts_as_ever_with_eight_bits_and_the_daemon_tells_of_it(
    running_daemon: RunDaemon,
) -> None:
    folder = demo.find()
    assert folder is not None
    source = {"source": str(folder.path)}
    entries: list[dict[str, Any]] = [
        {"id": "plain", **source},
        {"id": "eight", **source, "kv_cache": {"bits": 8}, "overflow": "truncate"},
        {"id": "broken", **source, "kv_cache": {"bits": 8, "group_size": 128}},
    ]
    daemon = running_daemon({"models": entries, "demo": False, "hub": False})
    body = {"messages": [{"role": "user", "content": "Count to 8"}], "temperature": 0}
    said = [daemon.post("/v1/chat/completions", body | {"model": name, "max_tokens": 60})
            for name in ("plain", "eight")]  # fmt: skip
    assert said[0]["choices"] == said[1]["choices"]
    two = daemon.post("/v1/chat/completions", body | {"model": "eight", "max_tokens": 9, "n": 2})
    assert two["choices"][0]["message"] == two["choices"][1]["message"]
    told = daemon.get("/v1/models/eight")
    assert told["kv_cache"] == "8 bits in groups of 64"
    assert told["disabled"] == ["batching: one request at a time"]
    assert told["overflow"] == "truncate"
    assert "kv_cache" not in daemon.get("/v1/models/plain")
    shown = daemon.ctl("show", "eight").stdout
    assert "8 bits in groups of 64" in shown and "one request at a time" in shown
    assert "one request at a time" in daemon.ctl("logs", "eight").stdout
    answer = httpx.post(
        f"{daemon.url}/v1/chat/completions", json=body | {"model": "broken"}, timeout=240
    )
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (503, "model_load_failed")
    assert "kv_cache" in error["message"]
