"""Drive `lifecycle.step` and `watchdog` at random against a world that keeps its own account of what is true.

Nothing here asks the code under test what it should have done: process, leases, clocks and graces are counted apart.
"""

from support.life_account import Account, Process

from mlxd.protocol.lifecycle import ALIVE, FAILURES, LEGAL, StopReason, WorkerState
from mlxd.supervisor.lifecycle import events, lifecycle, watchdog
from mlxd.supervisor.lifecycle.lifecycle import Life, Policy

S = WorkerState
SERVING = (S.READY, S.DRAINING)


class LifeWorld:
    """Send any event that the world can produce in the present state, and some that come too late."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.now = 1000.0
        self.account = Account()
        self.life = Life(idle_timeout=self.account.kept)

    # The one place where an event goes in and effects come out

    def send(self, event: events.Event) -> tuple[events.Effect, ...]:
        """Feed one event; check the move and each effect against the account."""
        before = self.life
        self.life, effects = lifecycle.step(before, event, self.now, self.policy)
        if self.life.state is not before.state:
            assert (before.state, self.life.state) in LEGAL
            assert self.life.since == self.now
            self.account.moves.add((before.state, self.life.state))
        for effect in effects:
            self.account.record(effect, self.now, self.policy)
        return effects

    # What the supervisor wants

    @property
    def may_retry(self) -> bool:
        """Tell whether the back-off is over."""
        return self.life.state is S.BACKOFF and self.now >= self.life.retry_at

    def want(self) -> None:
        """Start, as the scheduler does when there is room."""
        self.send(events.Wanted())
        assert self.life.state is S.STARTING

    def come_up(self) -> None:
        """Start without a hitch, since most that can go wrong needs a worker that is up."""
        self.want()
        self.hello()
        self.become_ready()

    def lease(self, keep_alive: float | None) -> None:
        """Give a request to the worker."""
        process = self.process
        if not self.owes_a_step:
            process.owing_since = self.now
        self.send(events.LeaseStarted(keep_alive))
        self.account.leases += 1
        process.unseen += 1
        if keep_alive is not None:
            self.account.kept = keep_alive

    def end_lease(self, served: bool, seen: bool) -> None:
        """End a request, one that the engine has seen if there is one; the row may still be in the engine."""
        state, unseen = self.life.state, self.process.unseen
        seen = unseen < self.account.leases and (seen or not unseen)
        self.process.unseen -= not seen
        self.account.leases -= 1
        if self.account.leases == 0:
            self.account.idle_from = self.now
        self.process.served |= served
        self.send(events.LeaseEnded(served, seen))
        if state is S.DRAINING:
            assert (self.life.state is S.STOPPING) == (self.account.leases == 0)

    def stop(self, reason: StopReason, force: bool, bounded: bool) -> None:
        """Unload, evict or shut down."""
        before, leases = self.life.state, self.account.leases
        if bounded and before in SERVING:
            limit = self.now + self.policy.drain_timeout
            self.process.drain_by = min(self.process.drain_by, limit)
        effects = self.send(events.StopWanted(reason, force, bounded))
        if before in SERVING and not force:
            assert self.account.leases == leases, "a request was cut off"
            assert self.life.state is (S.DRAINING if leases else S.STOPPING)
        else:
            assert self.life.state is S.STOPPING
            assert before is not S.STOPPING or not effects

    def reset(self) -> None:
        """Clear the back-off."""
        self.send(events.Reset())
        assert self.life.state is S.STOPPED
        self.account.failures = 0

    def pin(self, pinned: bool) -> None:
        """Pin or unpin."""
        self.life = lifecycle.pin(self.life, pinned)
        self.fire_timers()

    def declare(self, idle_timeout: float) -> None:
        """Take the model's declaration, as each start does."""
        self.life = lifecycle.declared(self.life, False, idle_timeout)
        self.account.kept = idle_timeout

    # What the process does

    @property
    def process(self) -> Process:
        """Return the process that exists."""
        assert self.account.process is not None
        return self.account.process

    def hello(self) -> None:
        """Report, once or again."""
        before = self.life.state
        self.send(events.HelloReceived())
        if before is not S.STARTING:
            assert self.life.state is before

    def progress(self) -> None:
        """Read more of the weights."""
        if self.life.state is S.LOADING:
            self.process.progress_at = self.now
        self.send(events.Progressed())

    def become_ready(self) -> None:
        """Produce the self-test token, perhaps when nobody wants it any more."""
        before = self.life.state
        self.send(events.BecameReady())
        if before is S.LOADING:
            self.process.ready_at = self.account.idle_from = self.now
        else:
            assert self.life.state is before

    def beat(self, stepped: bool, rows: int) -> None:
        """Tell the step counter and the rows."""
        process = self.process
        owed = self.owes_a_step
        process.steps += stepped
        if stepped or not rows or not owed:
            process.owing_since = self.now
        if stepped or rows:
            process.unseen = 0
        process.rows = rows
        self.send(events.Stepped(process.steps, rows))

    def report_failure(self) -> None:
        """Say why it is about to leave; from then on it gets no request."""
        self.send(events.FailureReported("the weights are torn"))
        assert self.life.state is S.STOPPING

    def exit(self) -> None:
        """End and be reaped."""
        before, process = self.life, self.process
        self.send(events.Exited("it left"))
        assert self.account.leases == 0, "a request was forgotten"
        leaving = before.state is S.DRAINING or (
            before.state is S.STOPPING and process.ask_reason not in FAILURES
        )
        assert self.life.state is (S.STOPPED if leaving else S.BACKOFF)
        if leaving:
            self.account.failures = 0
        else:
            wait = self.account.next_wait(self.now, self.policy)
            assert self.life.retry_at - self.now == wait
        self.account.process = None

    # Time

    @property
    def owes_a_step(self) -> bool:
        """Tell whether the worker has to show progress."""
        process = self.account.process
        if process is None or self.life.state not in SERVING:
            return False
        return process.rows > 0 or process.unseen > 0

    def fire_timers(self) -> None:
        """Feed what is due, as the owner's timer does."""
        for _ in range(8):
            event = watchdog.due(self.life, self.policy, self.now)
            if event is None:
                return
            self.time_up(event)
        raise AssertionError("the timer fires without end")

    def time_up(self, event: events.TimeUp) -> None:
        """Feed one TimeUp and check that it was rightly due."""
        before, process, leases = self.life, self.process, self.account.leases
        owed = self.owes_a_step
        self.send(event)
        if before.state is S.STARTING:
            assert self.now >= process.started_at + self.policy.hello_timeout
        if before.state is S.LOADING:
            assert self.now >= process.progress_at + self.policy.load_stall
        if before.state not in SERVING:
            return
        assert self.life.state is S.STOPPING
        if process.ask_reason is StopReason.STEP_STALLED:
            assert owed and self.now >= process.owing_since + self.policy.step_stall
        elif before.state is S.DRAINING:
            assert self.now >= process.drain_by
        else:
            assert process.ask_reason is StopReason.IDLE
            assert leases == 0 and not before.pinned
            assert self.now >= self.account.idle_from + self.account.kept

    def pass_time(self, seconds: float) -> None:
        """Let time pass while the timer works."""
        until = self.now + seconds
        while (at := watchdog.deadline(self.life, self.policy)) <= until:
            self.now = max(self.now, at)
            assert watchdog.due(self.life, self.policy, self.now) is not None
            self.fire_timers()
        self.now = until

    def oversleep(self, seconds: float) -> None:
        """Let time pass while the event loop is stuck; the timer comes late."""
        self.now += seconds
        self.fire_timers()

    def stale_timer(self, state: S) -> None:
        """Feed a TimeUp that was set in another state."""
        if state is not self.life.state:
            before = self.life
            assert not self.send(events.TimeUp(state))
            assert self.life == before

    # What always holds

    def a_process_exists_iff_the_state_says_so(self) -> None:
        """Compare state and process."""
        assert (self.account.process is not None) == (self.life.state in ALIVE)

    def leases_are_counted_and_need_a_serving_worker(self) -> None:
        """Compare leases."""
        assert self.life.leases == self.account.leases
        assert not self.account.leases or self.life.state in SERVING
        assert self.life.state is not S.DRAINING or self.account.leases

    def nobody_waits_for_what_never_comes(self) -> None:
        """Check the account's own deadlines: once the timer has fired, what is overdue has happened."""
        self.fire_timers()
        process, policy, now = self.account.process, self.policy, self.now
        if process is None:
            return
        match self.life.state:
            case S.STARTING:
                assert now < process.started_at + policy.hello_timeout
            case S.LOADING:
                assert now < process.progress_at + policy.load_stall
            case S.STOPPING:
                assert process.asked_at is not None
                assert process.terminated_at or now < process.asked_at + policy.ask_grace
                if process.terminated_at and not process.killed:
                    assert now < process.terminated_at + policy.kill_grace
            case S.READY | S.DRAINING:
                assert not self.owes_a_step or now < process.owing_since + policy.step_stall
        if self.life.state is S.DRAINING:
            assert now < process.drain_by
        if self.life.state is S.READY and not self.account.leases and not self.life.pinned:
            assert now < self.account.idle_from + self.account.kept

    def a_failure_is_explained(self) -> None:
        """Check that back-off has an error and that a stopped model has none."""
        if self.life.state is S.BACKOFF:
            assert self.life.error
        if self.life.state is S.STOPPED:
            assert self.life.error is None and self.life.failures == 0

    def check(self) -> None:
        """Check what always holds."""
        self.nobody_waits_for_what_never_comes()
        self.a_process_exists_iff_the_state_says_so()
        self.leases_are_counted_and_need_a_serving_worker()
        self.a_failure_is_explained()

    def end(self) -> None:
        """Bring the worker to rest by force, from wherever it is."""
        if self.life.state in ALIVE:
            self.send(events.StopWanted(StopReason.SHUTDOWN, force=True))
            self.pass_time(self.policy.ask_grace + self.policy.kill_grace)
            assert self.process.killed
            self.exit()
        self.a_process_exists_iff_the_state_says_so()
