"""Simulate workers, requests and a clock around `scheduler.decide`, and check every decision against plain rules.

The scheduler is asked only when something happened and at its own `next_wake`, as the pool asks it.
"""

import math
from collections.abc import Iterable

from support.pool_parts import BACKOFF_S, Drain, Pin, Request, Worker

from mlxd.protocol.lifecycle import ALIVE, WorkerState
from mlxd.supervisor.scheduling import scheduler
from mlxd.supervisor.scheduling.scheduler import Evict, Grant, Refusal, Refuse, Snapshot, Start
from mlxd.supervisor.urgency import Priority

S = WorkerState
LEAVING = (S.DRAINING, S.STOPPING)
MOST_EVENTS = 5000


class World:
    """Run requests against workers until nothing is left to happen."""

    def __init__(
        self,
        workers: dict[str, Worker],
        script: Iterable[Request | Drain | Pin],
        *,
        max_loaded: int = 0,
        max_swap_wait: float = math.inf,
        budget_bytes: int | None = None,
        host_bytes: int | None = None,
    ) -> None:
        self.workers = workers
        self.max_loaded = max_loaded
        self.max_swap_wait = max_swap_wait
        self.budget_bytes = budget_bytes
        self.host_bytes = host_bytes
        self.now = 0.0
        self.queue: list[Request] = []
        self.starts: list[str] = []
        self.evictions: list[str] = []
        self.script = sorted(script, key=lambda entry: entry.at)
        self.requests = [entry for entry in self.script if isinstance(entry, Request)]
        for ticket, request in enumerate(self.requests, start=1):
            request.ticket = ticket

    def run(self) -> "World":
        """Play the script to its end; fail if a request is never answered or a rule is broken."""
        for _ in range(MOST_EVENTS):
            self.decide()
            wake = scheduler.next_wake(self.snapshot())
            upcoming = self.next_event()
            self.check_nothing_is_missed(min(wake, upcoming))
            self.now = min(wake, upcoming)
            if math.isinf(self.now):
                break
            self.happen()
        else:
            raise AssertionError("the world never comes to rest")
        lost = [request for request in self.requests if not request.is_answered]
        assert not lost, f"nobody answered {lost}"
        return self

    def snapshot(self, at: float | None = None) -> Snapshot:
        """Return what the scheduler is shown."""
        return Snapshot(
            now=self.now if at is None else at,
            models={name: worker.view() for name, worker in self.workers.items()},
            queue=[scheduler.Waiting(r.ticket, r.model, r.at, r.priority) for r in self.queue],
            max_loaded=self.max_loaded,
            max_swap_wait=self.max_swap_wait,
            budget_bytes=self.budget_bytes,
            available_bytes=self.available(),
        )

    # What happens by itself

    def next_event(self) -> float:
        """Return when the world changes by itself."""
        times = [self.script[0].at] if self.script else []
        times += [worker.until for worker in self.workers.values()]
        times += [end for worker in self.workers.values() for end in worker.running.values()]
        times += [request.at + request.patience_s for request in self.queue]
        return min(times, default=math.inf)

    def happen(self) -> None:
        """Let happen what is due now."""
        for request in list(self.queue):
            if request.at + request.patience_s <= self.now:
                self.queue.remove(request)
                request.gave_up = True
        for worker in self.workers.values():
            self.live(worker)
        while self.script and self.script[0].at <= self.now:
            match self.script.pop(0):
                case Request() as request:
                    self.queue.append(request)
                case Drain(model=model):
                    if self.workers[model].state is S.READY:
                        self.workers[model].leave(self.now)
                case Pin(model=model, pinned=pinned):
                    self.workers[model].pinned = pinned

    def live(self, worker: Worker) -> None:
        """Move one worker on."""
        for ticket, end in list(worker.running.items()):
            if end <= self.now:
                del worker.running[ticket]
                worker.idle_since = self.now
        worker.go_if_done(self.now)
        if worker.until > self.now:
            return
        worker.until = math.inf
        if worker.state is S.STOPPING:
            worker.state = S.STOPPED
        elif worker.fails:
            worker.fails -= 1
            worker.state, worker.retry_at = S.BACKOFF, self.now + BACKOFF_S
        else:
            worker.state, worker.idle_since = S.READY, self.now

    # Decisions and the rules they keep

    def decide(self) -> None:
        """Ask until there is nothing left to do at this moment."""
        for _ in range(10):
            actions = scheduler.decide(self.snapshot())
            self.check_swap([a.model_id for a in actions if isinstance(a, Evict)])
            self.carry_out(actions)
            self.check_granted(actions)
            if not actions:
                self.check_settled()
                return
        raise AssertionError(f"the scheduler is never done: {actions}")

    def carry_out(self, actions: list[scheduler.Action]) -> None:
        """Do what was decided, in order."""
        for action in actions:
            match action:
                case Grant(ticket=ticket):
                    self.grant(self.take(ticket))
                case Start(model_id=model):
                    self.start(model)
                case Evict(model_id=model):
                    self.evict(model)
                case Refuse(ticket=ticket, reason=reason):
                    self.refuse(self.take(ticket), reason)

    def take(self, ticket: int) -> Request:
        """Take a request out of the queue; the most urgent of its model, or the order is broken."""
        request = next(r for r in self.queue if r.ticket == ticket)
        rivals = [r for r in self.queue if r.model == request.model]
        assert request is min(rivals, key=self.place), (
            "not by priority, then first come, first served"
        )
        self.queue.remove(request)
        return request

    def grant(self, request: Request) -> None:
        """Run a request."""
        worker = self.workers[request.model]
        assert worker.state is S.READY, f"granted to a worker that is {worker.state}"
        request.granted_at = self.now
        worker.running[request.ticket] = self.now + request.runs_s

    def start(self, model: str) -> None:
        """Begin a load."""
        worker = self.workers[model]
        assert worker.state in (S.STOPPED, S.BACKOFF), f"started while {worker.state}"
        assert worker.state is S.STOPPED or self.now >= worker.retry_at, "started in back-off"
        assert any(r.model == model for r in self.queue), "started for nobody"
        assert not self.max_loaded or len(self.alive()) < self.max_loaded, "one too many"
        assert self.free(self.alive()) >= worker.need_bytes, "more than there is"
        small = [r for r in self.cold() if self.workers[r.model].need_bytes <= worker.need_bytes]
        assert min(small, key=self.place).model == model, "somebody more urgent fits there, too"
        worker.state, worker.until = S.STARTING, self.now + worker.load_s
        self.starts.append(model)

    def evict(self, model: str) -> None:
        """Drain a worker."""
        worker = self.workers[model]
        assert worker.state is S.READY and not worker.pinned
        cold = self.cold()
        assert cold, "evicted for nobody"
        full = self.max_loaded and len(self.alive()) >= self.max_loaded
        short = any(self.workers[r.model].need_bytes > self.free(self.alive()) for r in cold)
        promised = len({r.model for r in cold}) > 1 and self.budget_bytes is not None
        assert full or short or promised, "evicted without need"
        if self.budget_bytes is not None:  # sizes decide then, and `check_swap` knows them
            assert not worker.running or self.overdue(), "nobody has waited too long for it"
            worker.leave(self.now)
            self.evictions.append(model)
            return
        others = [w for w in self.idle() if w is not worker]
        if worker.running:
            assert len(self.leaving()) < len(self.overdue()), "nobody has waited too long for it"
            assert not others, "a busy worker was evicted although one was idle"
        else:
            assert all(worker.idle_since <= w.idle_since for w in others), "not the oldest"
            assert len(self.stopping()) < len({r.model for r in cold}), "for nobody"
        worker.leave(self.now)
        self.evictions.append(model)

    def refuse(self, request: Request, reason: Refusal) -> None:
        """Turn a request away."""
        worker = self.workers[request.model]
        if reason is Refusal.BACKOFF:
            assert worker.state is S.BACKOFF and self.now < worker.retry_at
        elif reason is Refusal.TOO_LARGE:
            staying = [w for w in self.alive() if w.pinned and w.state not in LEAVING]
            assert worker.need_bytes > self.free(staying), "it would have fitted"
        else:
            assert worker.state in (S.STOPPED, S.BACKOFF)
            assert 0 < self.max_loaded <= len(self.alive())
            assert all(w.pinned and w.state not in LEAVING for w in self.alive())
        request.refused = reason

    def check_granted(self, actions: list[scheduler.Action]) -> None:
        """Check that one decision served all whom it could."""
        drained = {action.model_id for action in actions if isinstance(action, Evict)}
        for request in self.queue:
            state = self.workers[request.model].state
            assert state is not S.READY or request.model in drained, "a ready model's request waits"

    def check_swap(self, victims: list[str]) -> None:
        """Check that those who go for one model are enough for it, and that none of them could have stayed."""
        cold = {request.model for request in self.cold()}
        if not victims or len(cold) != 1:
            return
        need = self.workers[cold.pop()].need_bytes
        staying = [w for w in self.alive() if w.state not in LEAVING]
        if self.fits(need, staying):  # a drain would do, but takes too long
            staying = [w for w in self.alive() if w.state is not S.STOPPING]
        rest = [w for w in staying if w not in [self.workers[v] for v in victims]]
        assert self.fits(need, rest), "they go, and it is not enough"
        for victim in victims:
            spared = [*rest, self.workers[victim]]
            assert not self.fits(need, spared), f"{victim} went for nothing"

    def fits(self, need: int, beside: list[Worker]) -> bool:
        """Tell whether there is room for one more model once only these workers are left."""
        has_slot = not self.max_loaded or len(beside) < self.max_loaded
        return has_slot and need <= self.free(beside)

    def free(self, beside: list[Worker]) -> float:
        """Return the bytes for one more model once only these workers are left."""
        gone = [w for w in self.alive() if w not in beside]
        free = math.inf if self.budget_bytes is None else self.budget_bytes
        available = self.available()
        return min(
            free - sum(w.held_bytes for w in beside),
            math.inf if available is None else available + sum(w.held_bytes for w in gone),
        )

    def available(self) -> int | None:
        """Return what the machine could hand out, less what loading workers have yet to take."""
        if self.host_bytes is None:
            return None
        coming = sum(w.need_bytes for w in self.alive() if w.state in (S.STARTING, S.LOADING))
        return self.host_bytes - coming - sum(w.taken_bytes for w in self.alive())

    def check_settled(self) -> None:
        """Check what holds once there is nothing left to decide."""
        for most in (self.budget_bytes, self.host_bytes):
            for request in self.cold():
                need = self.workers[request.model].need_bytes
                assert most is None or need <= most, "it waits for what will never be"
        if not self.max_loaded or self.budget_bytes is not None:
            return
        assert len(self.alive()) <= self.max_loaded
        if self.idle():
            assert len(self.leaving()) >= len({r.model for r in self.cold()}), "an idle one stays"
            assert len(self.stopping()) >= len(self.overdue()), "an idle one stays for too long"
        if self.overdue():
            stuck = all(w.pinned or w.state is not S.READY for w in self.alive())
            assert self.leaving() or stuck, "nobody yields to who has waited too long"

    def check_nothing_is_missed(self, until: float) -> None:
        """Check that asking at any moment before the next event or wake would have changed nothing."""
        horizon = min(until, self.now + 1000.0)
        for share in (0.01, 0.5, 0.99):
            moment = self.now + (horizon - self.now) * share
            if moment < until:
                missed = scheduler.decide(self.snapshot(moment))
                assert not missed, f"at {moment} nobody asked, and {missed} was due"

    def alive(self) -> list[Worker]:
        """Return the workers with a process."""
        return [worker for worker in self.workers.values() if worker.state in ALIVE]

    def leaving(self) -> list[Worker]:
        """Return the workers that make room, now or when their requests are done."""
        return [worker for worker in self.alive() if worker.state in LEAVING]

    def stopping(self) -> list[Worker]:
        """Return the workers that make room now."""
        return [worker for worker in self.alive() if worker.state is S.STOPPING]

    def idle(self) -> list[Worker]:
        """Return the workers that could go at once."""
        return [
            worker
            for worker in self.workers.values()
            if worker.state is S.READY and not worker.running and not worker.pinned
        ]

    def cold(self) -> list[Request]:
        """Return who waits for a model without a process."""
        return [r for r in self.queue if self.workers[r.model].state in (S.STOPPED, S.BACKOFF)]

    def place(self, request: Request) -> tuple[Priority, int]:
        """Return a request's place in the line."""
        return request.place(self.now, self.max_swap_wait)

    def overdue(self) -> set[str]:
        """Return the models without a process for which somebody has waited too long."""
        return {r.model for r in self.cold() if self.now >= r.at + self.max_swap_wait}
