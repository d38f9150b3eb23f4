"""Log-probabilities come for the rows that ask, and are the model's own (promise E5)."""

import mlx.core as mx
import pytest
from support.engine_rig import GREEDY, Rig, lane, prompt, request, teacher_forced

from mlxd.workers.engine.request import Sampling


@pytest.mark.parametrize("kind", ["qwen3", "gpt_oss", "hybrid"])
def test_logprobs_are_what_reading_the_whole_answer_at_once_gives(kind: str) -> None:
    model, rig = lane(kind), Rig(lane(kind))
    asked = [(None, GREEDY), (0, GREEDY), (5, Sampling(seed=1)), (20, Sampling(seed=2, top_k=3))]
    items = [
        request(prompt(10 + 7 * i, i), 6 + i, sampling, logprobs=wish)
        for i, (wish, sampling) in enumerate(asked)
    ]
    uids = rig.submit(*items[:2])
    rig.step(4)
    uids += rig.submit(*items[2:])
    rig.finish()
    for uid, item in zip(uids, items, strict=True):
        outputs, tokens = rig.outputs(uid), [*item.prompt, *rig.tokens(uid)]
        exact = teacher_forced(model, tokens)
        for at, output in enumerate(outputs, len(item.prompt) - 1):
            if item.logprobs is None:
                assert output.logprob is None and output.top_logprobs == ()
                continue
            assert output.logprob == pytest.approx(exact[at, output.token].item(), abs=1e-3)
            best = mx.argsort(-exact[at])[: item.logprobs].tolist()
            assert [token for token, _ in output.top_logprobs] == best
            for token, logprob in output.top_logprobs:
                assert logprob == pytest.approx(exact[at, token].item(), abs=1e-3)


def test_logprobs_stay_with_their_row_when_others_leave() -> None:
    model = lane("qwen3")
    rig = Rig(model)
    items = [request(prompt(8, i), 3 + 2 * i, logprobs=2 if i % 2 else None) for i in range(6)]
    uids = rig.submit(*items)
    rig.step(5)
    rig.cancel(uids[4])
    rig.finish()
    for uid, item in zip(uids, items, strict=True):
        exact = teacher_forced(model, [*item.prompt, *rig.tokens(uid)])
        for at, output in enumerate(rig.outputs(uid), len(item.prompt) - 1):
            if item.logprobs is not None:
                assert output.logprob == pytest.approx(exact[at, output.token].item(), abs=1e-3)
