"""What can never work is refused with the field and the numbers."""

import math
from dataclasses import replace

import pytest

from mlxd.protocol.errors import ContextLengthExceeded, InvalidRequest
from mlxd.workers.engine.request import GenerateRequest, Sampling
from mlxd.workers.engine.validate import Window

WINDOW = Window(vocab=100, context_length=50)
GOOD = GenerateRequest(prompt=(0, 99), max_tokens=1)


def with_sampling(**changes: object) -> GenerateRequest:
    return replace(GOOD, sampling=replace(Sampling(), **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "request_",
    [
        GOOD,
        replace(GOOD, max_tokens=10**9),
        replace(GOOD, logprobs=20),
        with_sampling(top_k=10**9, temperature=0.0, top_p=0.0, min_p=1.0),
        with_sampling(logit_bias={0: -100.0, 99: 100.0}, presence_penalty=-2.0),
    ],
)
def test_what_works_passes(request_: GenerateRequest) -> None:
    WINDOW.check(request_)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (replace(GOOD, prompt=()), "prompt"),
        (replace(GOOD, prompt=(100,)), "prompt"),
        (replace(GOOD, prompt=(-1,)), "prompt"),
        (replace(GOOD, max_tokens=0), "max_tokens"),
        (replace(GOOD, logprobs=21), "top_logprobs"),
        (replace(GOOD, logprobs=-1), "top_logprobs"),
        (with_sampling(temperature=-0.1), "temperature"),
        (with_sampling(temperature=math.nan), "temperature"),
        (with_sampling(temperature=math.inf), "temperature"),
        (with_sampling(top_p=1.1), "top_p"),
        (with_sampling(top_k=-1), "top_k"),
        (with_sampling(min_p=2.0), "min_p"),
        (with_sampling(repetition_penalty=0.0), "repetition_penalty"),
        (with_sampling(frequency_penalty=math.inf), "frequency_penalty"),
        (with_sampling(logit_bias={100: 1.0}), "logit_bias"),
        (with_sampling(logit_bias={-1: 1.0}), "logit_bias"),
        (with_sampling(logit_bias={1: math.nan}), "logit_bias"),
        (with_sampling(logit_bias={n: 1.0 for n in range(2000)}), "logit_bias"),
    ],
)
def test_a_refusal_names_the_field(request_: GenerateRequest, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        WINDOW.check(request_)
    assert refused.value.field == field and str(refused.value)


@pytest.mark.parametrize(("length", "fits"), [(49, True), (50, False), (5000, False)])
def test_a_prompt_must_leave_room_for_one_token(length: int, fits: bool) -> None:
    request = replace(GOOD, prompt=(1,) * length)
    if fits:
        WINDOW.check(request)
        return
    with pytest.raises(ContextLengthExceeded) as refused:
        WINDOW.check(request)
    assert (refused.value.prompt_tokens, refused.value.limit) == (length, 50)
