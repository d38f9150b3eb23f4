"""A row that fails fails alone; a batch that fails takes nobody else along (promises B5, E6, E7)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import mlx.core as mx
import pytest
from support.engine_rig import Failing, Rig, alone, lane, prompt, remembering, request

from mlxd.protocol.errors import ModelLoadFailed, WorkerDied
from mlxd.protocol.exit_codes import ExitCode
from mlxd.workers import limits
from mlxd.workers.engine.inbox import Leave
from mlxd.workers.engine.self_test import speak
from mlxd.workers.prompt_cache import caches

POISON = 1535
"""A token on which the failing models below fail; no prompt of `prompt` with this vocabulary has it."""


def clean(length: int, seed: int) -> tuple[int, ...]:
    return prompt(length, seed, vocab=POISON)


def has_poison(tokens: mx.array) -> bool:
    return bool((tokens == POISON).any().item())


@pytest.mark.parametrize("length", [3, 40, 900])
def test_a_row_whose_prompt_fails_fails_alone(length: int) -> None:
    """Promise E6: read side by side, alone, or in the third slice of its prompt."""
    model = lane("qwen3")
    rig = Rig(model, model=Failing(model.model, has_poison))
    good = [request(clean(n, n), 10) for n in (3, 30, 60)]
    bad = request((*clean(length, 9), POISON, 1), 10)
    a, b = rig.submit(good[0], good[1])
    rig.step(4)
    (failing,) = rig.submit(bad)
    (c,) = rig.submit(good[2])
    rig.finish()
    assert isinstance(rig.error(failing), WorkerDied) and rig.tokens(failing) == []
    for uid, item in zip((a, b, c), good, strict=True):
        assert rig.error(uid) is None and rig.tokens(uid) == alone(model, item)
    assert (rig.stats().failed, rig.stats().finished) == (1, 3)


def test_a_failing_step_fails_its_rows_with_503_and_the_next_request_works() -> None:
    """Promise E7."""
    model, fail_now = lane("qwen3"), list[bool]()
    rig = Rig(model, model=Failing(model.model, lambda tokens: bool(fail_now)))
    uids = rig.submit(*(request(prompt(5, i), 20) for i in range(3)))
    rig.step(5)
    fail_now.append(True)
    rig.step()
    for uid in uids:
        error = rig.error(uid)
        assert error is not None and error.status == 503
    fail_now.clear()
    assert rig.loop.rows == 0
    (uid,) = rig.submit(request(prompt(5, 7), 4))
    rig.finish()
    assert rig.tokens(uid) == alone(model, request(prompt(5, 7), 4))


def test_a_device_error_ends_the_loop_as_poisoned_and_fails_what_waits() -> None:
    """Promise B5."""
    model = lane("qwen3")
    rig = Rig(
        model,
        model=Failing(model.model, lambda tokens: tokens.shape[1] == 1),
        bounds=replace(model.bounds, max_batch=2),
    )
    rig.broken = True
    uids = rig.submit(*(request(prompt(5, i), 20) for i in range(4)))
    leave = rig.loop.run()
    assert leave.code is ExitCode.POISONED
    assert all(isinstance(rig.error(uid), WorkerDied) for uid in uids)


class Lost:
    """Be a device that fails once and answers again: MLX tells of an error once, to whoever asks next (mlx/error.h)."""

    def __init__(self, asked: Callable[..., Any]) -> None:
        self._asked = asked
        self.told = False

    def __call__(self, *args: Any, **rest: Any) -> Any:
        if not self.told:
            self.told = True
            raise RuntimeError("[METAL] Command buffer execution failed: Caused GPU Timeout Error")
        return self._asked(*args, **rest)


def test_a_device_lost_while_prompts_are_read_side_by_side_is_not_tried_again() -> None:
    """Regression: each was read alone then, on a device that cannot be trusted."""
    model = lane("qwen3")
    lost = Lost(model.model)
    failing = Failing(model.model, lambda tokens: tokens.shape[0] > 1 and lost(tokens, cache=None))
    rig = Rig(model, model=failing)
    rig.broken = True
    uids = rig.submit(*(request(prompt(5, i), 20) for i in range(3)))
    assert rig.loop.run().code is ExitCode.POISONED
    assert lost.told and all(isinstance(rig.error(uid), WorkerDied) for uid in uids)


@pytest.mark.parametrize("part", ["start", "tight"])
def test_a_device_lost_while_a_state_is_kept_is_told_of(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: the error went into the log, and the loop went on with whatever had been computed."""
    model = lane("qwen3")
    rig = Rig(model, remembering(model))
    lost = Lost(getattr(caches, part))
    monkeypatch.setattr(caches, part, lost)
    rig.submit(request(prompt(200, 1), 20))
    with pytest.raises(RuntimeError, match="GPU Timeout"):
        rig.loop.run()


def test_a_device_lost_while_a_model_first_speaks_is_no_reason_for_one_row_at_a_time() -> None:
    """Regression: a timeout of the GPU, busy with another model, made a model serve one request at a time for good."""
    model = lane("qwen3")
    lost = Lost(model.model)
    failing = Failing(model.model, lambda tokens: bool(lost(tokens, cache=None).sum() == 1))
    with pytest.raises(ModelLoadFailed, match="GPU Timeout") as raised:
        speak(replace(model, model=failing))
    assert limits.is_device_error(raised.value)


def test_a_model_that_fails_step_after_step_is_given_up() -> None:
    model = lane("qwen3")
    broken = Failing(model.model, lambda tokens: tokens.shape[1] == 1)
    rig = Rig(model, model=broken, bounds=replace(model.bounds, max_batch=1))
    rig.submit(*(request(prompt(5, turn), 20) for turn in range(3)))
    assert rig.loop.run().code is ExitCode.POISONED


def test_a_model_that_fails_now_and_then_is_not_given_up() -> None:
    model, fail_now = lane("qwen3"), list[bool]()
    rig = Rig(model, model=Failing(model.model, lambda tokens: bool(fail_now)))
    for turn in range(5):
        (uid,) = rig.submit(request(prompt(5, turn), 20))
        rig.step(4)
        assert rig.tokens(uid)
        fail_now.append(True)
        rig.step()
        fail_now.clear()
    (uid,) = rig.submit(request(prompt(5, 9), 3))
    rig.finish()
    assert len(rig.tokens(uid)) == 3


def test_leaving_fails_rows_at_every_stage() -> None:
    model = lane("qwen3")
    rig = Rig(model, bounds=replace(model.bounds, max_batch=2))
    uids = rig.submit(*(request(prompt(n, n), 50) for n in (5, 3000, 5)))
    rig.step(3)
    stats = rig.stats()
    assert (stats.waiting, stats.prefill, stats.decode) == (1, 1, 1)
    rig.inbox.put(Leave(ExitCode.OK, WorkerDied("bye")))
    assert rig.loop.run().code is ExitCode.OK
    assert [str(rig.error(uid)) for uid in uids] == ["bye"] * 3
