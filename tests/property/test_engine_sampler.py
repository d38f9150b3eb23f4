"""One vectorised sampler draws for every row by the row's own parameters, and by nothing else."""

import math
from collections import Counter
from dataclasses import replace

import mlx.core as mx
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlxd.workers.engine.request import GenerateRequest, Sampling
from mlxd.workers.engine.sampling import Bias, Penalties, Sampler, fold_seed, is_penalised
from mlxd.workers.engine.sequence import Sequence

VOCAB = 24
DRAWS = 4000
Row = npt.NDArray[np.float64]

samplings = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 1e-9, 0.3, 1.0, 1.7]),
    top_p=st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]),
    top_k=st.sampled_from([0, 1, 3, 11, VOCAB - 1, VOCAB, 10 * VOCAB]),
    min_p=st.sampled_from([0.0, 0.02, 0.4, 1.0]),
    repetition_penalty=st.sampled_from([1.0, 0.5, 1.3]),
    presence_penalty=st.sampled_from([0.0, -1.0, 1.5]),
    frequency_penalty=st.sampled_from([0.0, 0.7]),
    logit_bias=st.dictionaries(
        st.integers(0, VOCAB - 1), st.sampled_from([-100.0, -1.0, 4.0]), max_size=4
    ),
    seed=st.integers(0, 2**63 - 1),
)
histories = st.tuples(
    st.lists(st.integers(0, VOCAB - 1), min_size=1, max_size=12),
    st.lists(st.integers(0, VOCAB - 1), max_size=6),
)


def row(uid: int, sampling: Sampling, prompt: list[int], answer: list[int]) -> Sequence:
    request = GenerateRequest(prompt=tuple(prompt), max_tokens=100, sampling=sampling)
    made = Sequence(uid, request, 100, fold_seed(sampling.seed or 0))
    made.tokens += answer
    made.sampled = len(answer)
    return made


def random_logits(rows: int, seed: int) -> mx.array:
    return mx.random.normal((rows, VOCAB), key=mx.random.key(seed)) * 3


def weighed(logits: Row, sampling: Sampling, prompt: list[int], answer: list[int]) -> Row:
    """Return the logits after penalties and bias, by their definition."""
    x = logits.copy()
    for token in set(prompt) | set(answer):
        x[token] = (
            x[token] / sampling.repetition_penalty
            if x[token] > 0
            else x[token] * sampling.repetition_penalty
        )
    for token, count in Counter(answer).items():
        x[token] -= sampling.presence_penalty + sampling.frequency_penalty * count
    for token, bias in sampling.logit_bias.items():
        x[token] += bias
    return x


def allowed(x: Row, sampling: Sampling) -> set[int]:
    """Return the tokens that may be drawn, by the definition of each filter."""
    p = np.exp(x - x.max())
    p /= p.sum()
    order = np.argsort(-x)
    before = np.concatenate([[0.0], np.cumsum(p[order])[:-1]])
    keep = {int(token) for token, mass in zip(order, before, strict=True) if mass < sampling.top_p}
    keep = keep or {int(order[0])}
    if sampling.top_k:
        keep &= {int(token) for token in order[: sampling.top_k]}
    return {token for token in keep if p[token] >= sampling.min_p * p.max() * (1 - 1e-6)}


@settings(max_examples=60)
@given(st.lists(st.tuples(samplings, histories), min_size=1, max_size=6), st.integers(0, 1000))
def test_a_row_draws_the_same_alone_and_in_any_batch(
    rows: list[tuple[Sampling, tuple[list[int], list[int]]]], seed: int
) -> None:
    logits = random_logits(len(rows), seed)
    together, batch = Sampler(VOCAB), [row(i, s, *h) for i, (s, h) in enumerate(rows)]
    together.set_rows(batch)
    steps = [together.sample(logits).tolist() for _ in range(3)]
    for i, (sampling, history) in enumerate(rows):
        single = Sampler(VOCAB)
        single.set_rows([row(0, sampling, *history)])
        alone = [single.sample(logits[i : i + 1]).item() for _ in range(3)]
        assert alone == [step[i] for step in steps]  # type: ignore[index]


@settings(max_examples=60)
@given(samplings, histories, st.integers(0, 1000))
def test_only_tokens_that_every_filter_keeps_are_drawn(
    sampling: Sampling, history: tuple[list[int], list[int]], seed: int
) -> None:
    logits = random_logits(1, seed)
    rows = [row(i, replace(sampling, seed=i), *history) for i in range(40)]
    sampler = Sampler(VOCAB)
    sampler.set_rows(rows)
    drawn = sampler.sample(mx.repeat(logits, len(rows), axis=0)).tolist()
    x = weighed(np.array(logits[0].tolist()), sampling, *history)
    if sampling.temperature < 1e-5:
        assert all(x[token] >= x.max() - 1e-5 for token in drawn)  # type: ignore[index, union-attr]
        return
    nearly = {t for t in allowed(x, replace(sampling, top_p=sampling.top_p + 1e-5))}
    assert set(drawn) <= nearly  # type: ignore[arg-type]


@given(st.lists(st.tuples(samplings, histories), min_size=1, max_size=5), st.integers(0, 1000))
def test_penalties_and_bias_are_taken_off_by_their_definition(
    rows: list[tuple[Sampling, tuple[list[int], list[int]]]], seed: int
) -> None:
    logits = random_logits(len(rows), seed)
    greedy = [
        row(i, replace(s, temperature=0.0, logit_bias={5: 0.0, **s.logit_bias}), *h)
        for i, (s, h) in enumerate(rows)
    ]
    x = logits
    if any(is_penalised(item.request.sampling) for item in greedy):
        x = Penalties(greedy, VOCAB, None).apply(x)
    x = Bias(greedy).apply(x)
    for at, (sampling, history) in enumerate(rows):
        expected = weighed(np.array(logits[at].tolist()), sampling, *history)
        assert np.allclose(np.array(x[at].tolist()), expected, atol=1e-4)


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(),
        Sampling(temperature=0.4),
        Sampling(temperature=1.5, top_p=0.8),
        Sampling(top_k=5),
        Sampling(temperature=0.8, min_p=0.1),
        Sampling(temperature=1.2, top_p=0.9, top_k=8, min_p=0.02),
        Sampling(
            repetition_penalty=1.4, presence_penalty=0.5, frequency_penalty=0.3, logit_bias={3: 2.0}
        ),
    ],
)
def test_the_draws_follow_the_distribution_that_the_parameters_describe(sampling: Sampling) -> None:
    history = ([1, 2, 3], [4, 4, 5])
    logits = random_logits(1, 7)
    x = weighed(np.array(logits[0].tolist()), sampling, *history)
    keep = sorted(allowed(x, sampling))
    expected = np.zeros(VOCAB)
    expected[keep] = np.exp((x[keep] - x.max()) / sampling.temperature)
    expected /= expected.sum()
    sampler = Sampler(VOCAB)
    sampler.set_rows([row(i, replace(sampling, seed=i * 7919), *history) for i in range(DRAWS)])
    drawn = np.array(sampler.sample(mx.repeat(logits, DRAWS, axis=0)).tolist())
    found = np.bincount(drawn, minlength=VOCAB) / DRAWS
    assert np.abs(found - expected).sum() / 2 < 3 * math.sqrt(VOCAB / DRAWS) / 2


def test_one_row_drawn_again_and_again_follows_it_too() -> None:
    logits = random_logits(1, 3)
    sampler = Sampler(VOCAB)
    sampler.set_rows([row(0, Sampling(seed=11), [1], [])])
    drawn = np.array([sampler.sample(logits).item() for _ in range(DRAWS)])
    expected = np.exp(np.array(logits[0].tolist()))
    expected /= expected.sum()
    found = np.bincount(drawn, minlength=VOCAB) / DRAWS
    assert np.abs(found - expected).sum() / 2 < 3 * math.sqrt(VOCAB / DRAWS) / 2


@settings(max_examples=40)
@given(st.lists(samplings, min_size=2, max_size=5), st.data())
def test_what_a_row_counted_stays_when_others_come_and_go(
    rows: list[Sampling], data: st.DataObject
) -> None:
    prompt = [1, 2, 3]
    batch = [row(i, s, prompt, []) for i, s in enumerate(rows)]
    watched = data.draw(st.sampled_from(batch))
    twin = row(0, watched.request.sampling, prompt, [])
    sampler, alone = Sampler(VOCAB), Sampler(VOCAB)
    alone.set_rows([twin])
    for step in range(5):
        others = data.draw(st.lists(st.sampled_from(batch), unique_by=lambda item: item.uid))
        members = [item for item in batch if item is watched or item in others]
        sampler.set_rows(members)
        logits = random_logits(1, step)
        drawn = sampler.sample(mx.repeat(logits, len(members), axis=0))
        tokens: list[int] = drawn.tolist()  # type: ignore[assignment]
        for member, token in zip(members, tokens, strict=True):
            member.tokens.append(token)
        assert alone.sample(logits).item() == watched.tokens[-1]


def test_sampling_leaves_the_logits_as_they_are() -> None:
    sampler = Sampler(VOCAB)
    mixed = [
        Sampling(temperature=0, repetition_penalty=1.5, logit_bias={1: 5.0}),
        Sampling(top_k=3),
    ]
    sampler.set_rows([row(i, s, [1, 2], []) for i, s in enumerate(mixed)])
    logits = random_logits(2, 1)
    before = logits.tolist()
    sampler.sample(logits)
    assert logits.tolist() == before


@pytest.mark.parametrize("logit", [0.0, 80.0, -80.0, 3e38])
def test_extreme_logits_and_temperatures_still_give_a_token(logit: float) -> None:
    sampler = Sampler(VOCAB)
    wanted = [Sampling(temperature=t) for t in (1e-4, 1.0, 1e6)]
    sampler.set_rows([row(i, s, [1], []) for i, s in enumerate(wanted)])
    drawn = sampler.sample(mx.full((3, VOCAB), logit)).tolist()
    assert all(0 <= token < VOCAB for token in drawn)  # type: ignore[operator, union-attr]


@given(st.integers(-(2**63), 2**64), st.integers(-(2**63), 2**64))
def test_every_seed_becomes_one_word_and_low_bits_always_tell(a: int, b: int) -> None:
    assert 0 <= fold_seed(a) < 2**32
    if (a ^ b) >> 32 == 0 and a != b:
        assert fold_seed(a) != fold_seed(b)
