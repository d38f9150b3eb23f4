"""Keep account of a worker's process and leases beside the lifecycle, from what it was told and what it did."""

import math
from dataclasses import dataclass, field

from mlxd.protocol.lifecycle import StopReason, WorkerState
from mlxd.supervisor.lifecycle import events
from mlxd.supervisor.lifecycle.lifecycle import Policy

S = WorkerState


@dataclass
class Process:
    """Account for one process, from its start to its reap."""

    started_at: float
    told_to_load: bool = False
    progress_at: float = 0.0
    ready_at: float | None = None
    served: bool = False
    steps: int = 0
    rows: int = 0
    unseen: int = 0
    """Requests that were sent and of which no beat has shown a sign."""
    owing_since: float = 0.0
    drain_by: float = math.inf
    asked_at: float | None = None
    ask_reason: StopReason | None = None
    terminated_at: float | None = None
    killed: bool = False


@dataclass
class Account:
    """Account for what the machine sent and saw."""

    process: Process | None = None
    leases: int = 0
    idle_from: float = 0.0
    kept: float = 100.0
    failures: int = 0
    moves: set[tuple[S, S]] = field(default_factory=set)

    def record(self, effect: events.Effect, now: float, policy: Policy) -> None:
        """Note what is done about an event, if it makes sense at all."""
        process = self.process
        if isinstance(effect, events.Spawn):
            assert process is None, "a second process"
            self.process = Process(now)
            return
        assert process is not None, f"{effect} without a process"
        match effect:
            case events.SendStart():
                assert not process.told_to_load
                process.told_to_load = True
                process.progress_at = now
            case events.AskToStop(reason=reason):
                assert process.asked_at is None, "asked twice"
                process.asked_at, process.ask_reason = now, reason
            case events.Terminate():
                assert process.terminated_at is None, "SIGTERM twice"
                assert process.asked_at is not None, "SIGTERM before asking"
                assert now >= process.asked_at + policy.ask_grace
                process.terminated_at = now
            case events.Kill():
                assert not process.killed, "SIGKILL twice"
                assert process.terminated_at is not None, "SIGKILL before SIGTERM"
                assert now >= process.terminated_at + policy.kill_grace
                process.killed = True
            case events.FailLeases(message=message):
                assert message
                assert self.leases > 0, "there is no lease to fail"
                self.leases = 0
            case events.DumpStacks():
                assert process.asked_at is None, "stacks are asked for before the worker leaves"

    def next_wait(self, now: float, policy: Policy) -> float:
        """Return the back-off that this history of failures deserves, one more failure included."""
        process = self.process
        assert process is not None
        ready_for = -1.0
        if process.ready_at is not None:
            ready_for = (process.asked_at or now) - process.ready_at
        forgiven = process.served or ready_for >= policy.stable_after
        self.failures = 1 if forgiven else self.failures + 1
        waits = [policy.backoff]
        while len(waits) < self.failures:
            waits.append(waits[-1] * 2)
        waits = [min(wait, policy.backoff_max) for wait in waits]
        if process.ready_at is not None:
            waits.insert(0, 0.0)  # the first restart of a worker that had come up is immediate
        return waits[self.failures - 1]
