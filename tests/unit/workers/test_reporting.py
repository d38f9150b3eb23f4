"""The worker's side of the control channel: heartbeats are few, and a deaf supervisor holds nobody up."""

import socket
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from mlxd.protocol import control
from mlxd.protocol.control import Failed, Heartbeat, Hello, LoadProgress
from mlxd.protocol.exit_codes import ExitCode
from mlxd.workers.reporting import Listener, Reporter

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

ON_MACOS = 8192
"""Bytes that a Unix socket holds there (`net.local.stream.sendspace` and `recvspace`)."""
LONG = Failed(ExitCode.LOAD_FAILED, "Missing parameters: " + "x" * 20 * ON_MACOS)
PATIENCE = 60.0


class MacSocket(socket.socket):
    """Take no notice of MSG_DONTWAIT when sending, as XNU's sosendcheck does (bsd/kern/uipc_socket.c)."""

    def send(self, data: "ReadableBuffer", flags: int = 0, /) -> int:
        return super().send(data, flags & ~socket.MSG_DONTWAIT)


@pytest.fixture
def ends() -> Iterator[tuple[Reporter, socket.socket]]:
    ours, plain = socket.socketpair()
    theirs = MacSocket(fileno=plain.detach())
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ON_MACOS)
        end.settimeout(None)
    reporter = Reporter(theirs)
    yield reporter, ours
    ours.close()
    reporter.finish(PATIENCE)
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


def heard_up_to(last: control.FromWorker, ours: socket.socket) -> list[control.FromWorker]:
    ours.settimeout(PATIENCE)
    data = b""
    while not data.endswith(control.encode(last)):
        data += ours.recv(1 << 20)
    return [control.decode_from_worker(line) for line in data.splitlines()]


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
    reporter.send(Hello(8))
    *beats, before_last, last = heard_up_to(Hello(8), ours)
    assert 10 < len(beats) < 20_000
    assert (before_last, last) == (Hello(7), Hello(8))


def test_a_message_that_the_socket_does_not_hold_arrives_whole_though_nothing_follows_it(
    ends: tuple[Reporter, socket.socket],
) -> None:
    """Regression: the rest waited for the next message, of an idle worker for ever, and was lost with one that left."""
    reporter, ours = ends
    reporter.send(LONG)
    assert heard_up_to(LONG, ours) == [LONG]


def test_who_leaves_waits_until_its_last_message_is_taken(
    ends: tuple[Reporter, socket.socket],
) -> None:
    reporter, ours = ends
    reporter.send(LONG)
    found: list[control.FromWorker] = []
    reader = threading.Thread(target=lambda: found.extend(heard_up_to(LONG, ours)))
    reader.start()
    reporter.finish(PATIENCE)
    ours.shutdown(socket.SHUT_WR)
    reader.join()
    assert found == [LONG]


def test_who_leaves_does_not_wait_for_a_supervisor_that_reads_nothing(
    ends: tuple[Reporter, socket.socket],
) -> None:
    reporter, _ = ends
    reporter.send(LONG)
    begun = time.monotonic()
    reporter.finish(0.01)
    assert time.monotonic() - begun < PATIENCE


def test_who_has_said_all_leaves_at_once(ends: tuple[Reporter, socket.socket]) -> None:
    reporter, _ = ends
    reporter.send(Hello(7))
    reporter.finish(PATIENCE)


def test_a_channel_without_news_is_not_taken_for_its_end() -> None:
    """A socket that does not wait may be reported as readable and have nothing."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        listener = Listener(theirs, lambda code, reason: pytest.fail(reason))
        with listener._wake, listener._signals:
            assert listener._read()


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
