"""What becomes of a row: its end, its cancellation at any stage, its place in the queue."""

from dataclasses import replace

from support.engine_rig import Rig, alone, lane, prompt, request

from mlxd.workers.engine.request import FinishReason, Sampling


def test_an_answer_ends_at_max_tokens_with_reason_length() -> None:
    rig = Rig(lane("qwen3"))
    uids = rig.submit(*(request(prompt(5, n), n) for n in (1, 2, 3, 9)))
    rig.finish()
    assert [len(rig.tokens(uid)) for uid in uids] == [1, 2, 3, 9]
    assert {rig.reason(uid) for uid in uids} == {FinishReason.LENGTH}


def test_an_answer_ends_where_the_window_ends() -> None:
    rig = Rig(lane("qwen3"), context_length=50)
    long, short = rig.submit(request(prompt(45, 1), 100), request(prompt(49, 2), 100))
    rig.finish()
    assert (len(rig.tokens(long)), len(rig.tokens(short))) == (5, 1)
    assert rig.reason(long) is FinishReason.LENGTH


def test_an_end_of_sequence_token_ends_the_answer_with_reason_stop_and_is_handed_over() -> None:
    model = lane("qwen3")
    expected = alone(model, request(prompt(5, 1), 9))
    rig = Rig(model, eos_token_ids=frozenset({expected[4]}))
    stopped, ignored = rig.submit(
        request(prompt(5, 1), 9), request(prompt(5, 1), 9, ignore_eos=True)
    )
    rig.finish()
    until = expected.index(expected[4]) + 1
    assert (rig.tokens(stopped), rig.reason(stopped)) == (expected[:until], FinishReason.STOP)
    assert (rig.tokens(ignored), rig.reason(ignored)) == (expected, FinishReason.LENGTH)


def test_the_reason_is_stop_when_both_ends_meet() -> None:
    model = lane("qwen3")
    expected = alone(model, request(prompt(5, 1), 1))
    rig = Rig(model, eos_token_ids=frozenset(expected))
    (uid,) = rig.submit(request(prompt(5, 1), 1))
    rig.finish()
    assert rig.reason(uid) is FinishReason.STOP


def test_a_top_k_beyond_the_vocabulary_just_works() -> None:
    wide = Sampling(top_k=10**6, seed=3)
    assert alone(lane("qwen3"), request(prompt(5, 1), 6, wide)) == alone(
        lane("qwen3"), request(prompt(5, 1), 6, Sampling(seed=3))
    )


def test_a_row_cancelled_while_it_waits_never_runs() -> None:
    model = lane("qwen3")
    rig = Rig(model, bounds=replace(model.bounds, max_batch=1))
    first, second = rig.submit(request(prompt(5, 1), 5), request(prompt(5, 2), 5))
    rig.step(2)
    assert rig.stats().waiting == 1
    rig.cancel(second)
    rig.step()
    assert rig.stats().waiting == 0
    rig.finish()
    assert len(rig.tokens(first)) == 5 and rig.tokens(second) == []


def test_a_row_cancelled_before_the_engine_saw_it_never_runs() -> None:
    rig = Rig(lane("qwen3"))
    (uid,) = rig.submit(request(prompt(5, 1), 5))
    rig.cancel(uid)
    rig.step()
    assert rig.loop.rows == 0 and rig.tokens(uid) == []


def test_a_row_cancelled_in_the_middle_of_its_prompt_stops_being_read() -> None:
    """Promise G2."""
    rig = Rig(lane("qwen3"))
    (uid,) = rig.submit(request(prompt(3500, 1), 5))
    rig.step()
    read = rig.stats().prompt_tokens
    assert rig.stats().prefill == 1 and read < 3000
    rig.cancel(uid)
    rig.step()
    stats = rig.stats()
    assert (stats.prefill, stats.cancelled, stats.prompt_tokens) == (0, 1, read)


def test_a_row_cancelled_while_it_generates_leaves_within_one_step_and_others_go_on() -> None:
    """Promise G1."""
    model = lane("qwen3")
    rig, items = Rig(model), [request(prompt(5, i), 20) for i in range(3)]
    uids = rig.submit(*items)
    rig.step(6)
    rig.cancel(uids[1])
    seen = len(rig.tokens(uids[1]))
    rig.step()
    assert rig.stats().decode == 2
    rig.finish()
    assert len(rig.tokens(uids[1])) == seen
    for index in (0, 2):
        assert rig.tokens(uids[index]) == alone(model, items[index])


def test_cancelling_an_ended_or_unknown_row_changes_nothing() -> None:
    rig = Rig(lane("qwen3"))
    (uid,) = rig.submit(request(prompt(5, 1), 2))
    rig.finish()
    rig.cancel(uid)
    rig.cancel(12345)
    rig.step()
    assert rig.stats().cancelled == 0 and rig.stats().finished == 1


def test_running_rows_get_a_token_with_every_slice_of_a_long_prompt() -> None:
    """Promise E10: between two tokens no more than one bounded slice is read."""
    rig = Rig(lane("qwen3", context_length=8192))
    (stream,) = rig.submit(request(prompt(5, 1), 200))
    rig.step(5)
    rig.submit(request(prompt(4000, 2), 2))
    while rig.stats().prompt_tokens < 4000:
        tokens, read = len(rig.tokens(stream)), rig.stats().prompt_tokens
        rig.step()
        assert len(rig.tokens(stream)) == tokens + 1
        assert rig.stats().prompt_tokens - read <= 512


def test_a_short_prompt_gets_its_first_token_while_a_long_one_is_read() -> None:
    rig = Rig(lane("qwen3", context_length=8192))
    (long,) = rig.submit(request(prompt(4000, 2), 2))
    rig.step()
    (short,) = rig.submit(request(prompt(20, 1), 3))
    rig.step(3)
    assert rig.tokens(short) and not rig.tokens(long)
    rig.finish()
    assert len(rig.tokens(long)) == 2


def test_no_more_rows_run_than_max_batch_and_the_queue_is_first_come_first_served() -> None:
    """Promise B11."""
    model = lane("qwen3")
    rig = Rig(model, bounds=replace(model.bounds, max_batch=3))
    uids = rig.submit(*(request(prompt(5, i), 6) for i in range(9)))
    ended: list[int] = []
    while rig.loop.rows or not ended:
        rig.step()
        stats = rig.stats()
        assert stats.prefill + stats.decode <= 3
        ended += [uid for uid in uids if rig.reason(uid) and uid not in ended]
    assert ended == uids


def test_every_step_hands_its_tokens_over_at_once() -> None:
    rig = Rig(lane("qwen3"))
    rig.submit(*(request(prompt(5, i), 10) for i in range(8)))
    rig.finish()
    sizes = [len(news) for news in rig.hand_overs]
    assert sizes == [8] * 10


def test_counts_are_right_when_everything_is_over() -> None:
    rig = Rig(lane("qwen3"))
    rig.submit(request(prompt(5, 1), 7), request(prompt(9, 2), 3))
    rig.finish()
    stats = rig.stats()
    assert (stats.waiting, stats.prefill, stats.decode) == (0, 0, 0)
    assert (stats.generated_tokens, stats.prompt_tokens, stats.finished) == (10, 12, 2)
    assert stats.active_memory_bytes > 0 and stats.generation_tokens_per_second > 0
    assert rig.beats[-1] == (stats.steps, 0)
