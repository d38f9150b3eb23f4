"""What goes of a conversation that is too long: as little as can be, the oldest first, and never half of anything."""

from hypothesis import given
from hypothesis import strategies as st

from mlxd.workers.chat.overflow import (
    RECENT,
    Group,
    grouped,
    kept,
    last_opening,
    pieces,
    recent,
    removals,
    removed,
    room,
    stepped,
    stops,
)
from mlxd.workers.chat.request import PastCall, Role, Turn

GROUPS = st.lists(
    st.builds(Group, st.integers(0, 100), st.integers(1, 4), st.booleans()), min_size=1, max_size=12
)
ROOM = st.integers(0, 1200)
TURNS = st.lists(
    st.sampled_from(
        [
            Turn(role=Role.SYSTEM, text="s"),
            Turn(role=Role.USER, text="u"),
            Turn(role=Role.ASSISTANT, text="a"),
            Turn(role=Role.ASSISTANT, calls=(PastCall(id="1", name="f", arguments="{}"),)),
            Turn(role=Role.TOOL, text="t", call_id="1"),
        ]
    ),
    max_size=20,
)


def tokens(groups: list[Group], places: list[int]) -> int:
    """Return how long these groups are together."""
    return sum(groups[place].tokens for place in places)


@given(st.integers(2, 10**6), st.none() | st.integers(1, 10**6))
def test_an_answer_has_what_it_asked_for_or_a_fair_share(window: int, limit: int | None) -> None:
    left = window - room(window, limit)
    assert 1 <= left <= max(window // 4, 1)
    assert limit is None or left == min(limit, max(window // 4, 1))


@given(TURNS)
def test_groups_are_the_conversation_in_its_order_and_part_no_result_from_its_call(
    turns: list[Turn],
) -> None:
    head, groups = grouped(turns)
    assert [*head, *(turn for group in groups for turn in group)] == turns
    assert all(turn.role is Role.SYSTEM for turn in head)
    assert all(group[0].role not in (Role.TOOL, Role.SYSTEM) for group in groups[1:])
    assert all(turn.role in (Role.TOOL, Role.SYSTEM) for group in groups for turn in group[1:])


@given(GROUPS, ROOM)
def test_the_rest_fits_or_is_the_least_there_can_be(groups: list[Group], room: int) -> None:
    count = removed(groups, room)
    stay = kept(groups, count)
    assert tokens(groups, stay) <= room or count == len(removals(groups)) == stops(groups)[-1]


@given(GROUPS, ROOM)
def test_nothing_goes_that_could_stay(groups: list[Group], room: int) -> None:
    count = removed(groups, room)
    for fewer in (n for n in stops(groups) if n < count):
        assert tokens(groups, kept(groups, fewer)) > room


@given(GROUPS, ROOM, ROOM)
def test_more_room_never_keeps_less(groups: list[Group], room: int, more: int) -> None:
    assert removed(groups, room + more) <= removed(groups, room)


@given(GROUPS, ROOM, st.integers(0, 12))
def test_the_last_question_and_the_last_group_stay_in_their_order(
    groups: list[Group], room: int, least: int
) -> None:
    count = removed(groups, room, least)
    assert count >= min(least, stops(groups)[-1])
    stay = kept(groups, count)
    assert stay == sorted(stay) and len(stay) == len(groups) - count
    assert len(groups) - 1 in stay
    asked = last_opening(groups)
    assert asked is None or asked in stay


@given(GROUPS, ROOM)
def test_what_is_left_begins_with_a_question_where_there_is_one(
    groups: list[Group], room: int
) -> None:
    count = removed(groups, room)
    if count and last_opening(groups) is not None:
        assert groups[kept(groups, count)[0]].opens


@given(GROUPS, ROOM, st.integers(1, 200))
def test_a_cut_in_steps_frees_less_than_a_step_more_than_it_must(
    groups: list[Group], room: int, step: int
) -> None:
    count = removed(groups, room)
    even = stepped(groups, count, step)
    assert even >= count and even in stops(groups)
    asked = last_opening(groups)
    if even != count:
        assert asked is not None and even <= asked
        # The stop before it would have freed too little.
        before = max(n for n in stops(groups) if n < even)
        must = sum(group.tokens for group in groups[:count])
        assert before < count or sum(group.tokens for group in groups[:before]) < must + step


@given(GROUPS, st.integers(1, 200), st.data())
def test_a_cut_in_steps_stays_where_it_is_while_the_conversation_grows_within_a_step(
    groups: list[Group], step: int, data: st.DataObject
) -> None:
    asked = last_opening(groups)
    possible = [n for n in stops(groups) if asked is not None and 0 < n <= asked]
    if not possible:
        return
    count = data.draw(st.sampled_from(possible))
    even = stepped(groups, count, step)
    longer = [*groups, Group(data.draw(st.integers(0, 50)), 1, True)]
    for more in (n for n in possible if count <= n <= even):
        freed = sum(group.tokens for group in groups[:more])
        least = sum(group.tokens for group in groups[:count])
        if -(-freed // step) == -(-least // step):
            assert even == count or stepped(longer, more, step) == even


@given(GROUPS)
def test_the_last_six_messages_are_never_summarized(groups: list[Group]) -> None:
    place = recent(groups)
    after = sum(group.messages for group in groups[place:])
    assert after >= RECENT or place == 0
    assert place == 0 or sum(group.messages for group in groups[place + 1 :]) < RECENT


@given(GROUPS, st.integers(1, 300))
def test_pieces_hold_everything_once_and_each_fits(groups: list[Group], room: int) -> None:
    runs = pieces(groups, room)
    if runs is None:
        assert any(group.tokens > room for group in groups)
        return
    assert [place for run in runs for place in run] == list(range(len(groups)))
    assert all(run and tokens(groups, list(run)) <= room for run in runs)
