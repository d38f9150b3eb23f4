"""A row that fails fails alone; a batch that fails takes nobody else along (promises B5, E6, E7)."""

from dataclasses import replace

import mlx.core as mx
import pytest
from support.engine_rig import Failing, Rig, alone, lane, prompt, request

from mlxd.protocol.errors import WorkerDied
from mlxd.protocol.exit_codes import ExitCode
from mlxd.workers.engine.inbox import Leave

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
