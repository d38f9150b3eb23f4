"""The worker's side of the control channel: heartbeats are few, and a deaf supervisor holds nobody up."""

import socket
from collections.abc import Iterator

import pytest

from mlxd.protocol import control
from mlxd.protocol.control import Heartbeat, Hello, LoadProgress
from mlxd.workers.reporting import Reporter


@pytest.fixture
def ends() -> Iterator[tuple[Reporter, socket.socket]]:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    yield Reporter(theirs), ours
    ours.close()
    theirs.close()


def heard(ours: socket.socket) -> list[control.FromWorker]:
    ours.setblocking(False)
    data = b""
    while True:
        try:
            chunk = ours.recv(1 << 20)
        except BlockingIOError:
            chunk = b""
        if not chunk:
            return [control.decode_from_worker(line) for line in data.splitlines()]
        data += chunk


def test_messages_arrive_as_sent(ends: tuple[Reporter, socket.socket]) -> None:
    reporter, ours = ends
    reporter.send(Hello(7))
    reporter.progress(1, 2)
    assert heard(ours) == [Hello(7), LoadProgress(1, 2)]


def test_a_working_engine_is_reported_once_per_interval_and_once_when_done(
    ends: tuple[Reporter, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    reporter, ours = ends
    now = [100.0]
    monkeypatch.setattr("mlxd.workers.reporting.time.monotonic", lambda: now[0])
    reporter.set_interval(1.0)
    for step in range(1, 31):
        now[0] += 0.1
        reporter.beat(step, 2)
    reporter.beat(31, 0)
    reporter.beat(31, 0)
    beats = heard(ours)
    assert beats[0] == Heartbeat(1, 2) and beats[-1] == Heartbeat(31, 0)
    assert len(beats) == 5 - 1


def test_an_idle_engine_is_not_reported(ends: tuple[Reporter, socket.socket]) -> None:
    reporter, ours = ends
    for _ in range(5):
        reporter.beat(0, 0)
    assert heard(ours) == []


def test_a_supervisor_that_does_not_read_holds_nobody_up_and_misses_only_heartbeats(
    ends: tuple[Reporter, socket.socket],
) -> None:
    reporter, ours = ends
    reporter.set_interval(0.0)
    for step in range(20_000):
        reporter.beat(step, 1)
    reporter.send(Hello(7))
    first = heard(ours)
    assert 10 < len(first) < 20_000
    reporter.send(Hello(8))
    rest = heard(ours)
    assert rest[-1] == Hello(8) and Hello(7) in (first + rest)


def test_a_supervisor_that_is_gone_is_no_error(ends: tuple[Reporter, socket.socket]) -> None:
    reporter, ours = ends
    ours.close()
    reporter.send(Hello(7))
    reporter.beat(1, 1)


def test_work_too_short_for_a_beat_of_its_own_is_reported_when_it_is_done(
    ends: tuple[Reporter, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: the supervisor never heard of the second request, and took the idle engine for a stuck one."""
    reporter, ours = ends
    monkeypatch.setattr("mlxd.workers.reporting.time.monotonic", lambda: 100.0)
    for steps in (1, 2):
        reporter.beat(steps, 1)
        reporter.beat(steps, 0)
    assert heard(ours)[-1] == Heartbeat(steps=2, rows=0)
