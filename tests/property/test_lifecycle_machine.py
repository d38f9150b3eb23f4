"""Any sequence of events keeps the lifecycle's laws."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from support.choices import Drawn, Seeded
from support.life_moves import choose_policy, move, walk
from support.life_world import LifeWorld

from mlxd.protocol.lifecycle import LEGAL


class LifeMachine(RuleBasedStateMachine):
    """Let Hypothesis choose what happens: one rule, since rules of their own would be switched off by swarms."""

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        """Choose a policy."""
        self.world = LifeWorld(choose_policy(Drawn(data.draw)))

    @rule(data=st.data())
    def happen(self, data: st.DataObject) -> None:
        """Let one thing happen."""
        move(self.world, Drawn(data.draw))

    def teardown(self) -> None:
        """Bring the worker to rest from wherever it is."""
        if hasattr(self, "world"):
            self.world.end()


def test_no_sequence_of_events_breaks_a_law_of_the_lifecycle() -> None:
    run_state_machine_as_test(
        LifeMachine, settings=settings(max_examples=100, stateful_step_count=40)
    )


def test_no_long_walk_breaks_a_law_and_together_they_make_every_legal_move() -> None:
    made = set()
    for seed in range(500):
        made |= walk(Seeded(seed)).account.moves
    assert made == LEGAL
