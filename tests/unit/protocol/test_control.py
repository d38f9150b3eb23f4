"""Supervisor and worker understand each other, and refuse what neither of them says."""

import msgspec
import pytest

from mlxd.protocol import control
from mlxd.protocol.control import FromWorker, ToWorker
from mlxd.protocol.exit_codes import ExitCode
from mlxd.protocol.kinds import ModelKind
from mlxd.protocol.spec import WorkerSpec

SPEC = WorkerSpec(model_id="a/b", kind=ModelKind.TEXT, path="/models/b", socket="/run/1.sock")
SAID_BY_WORKERS: list[FromWorker] = [
    control.Hello(pid=5),
    control.LoadProgress(bytes_read=1, bytes_total=2**40),
    control.Ready(weights_bytes=1, context_length=4096, load_seconds=0.5),
    control.Heartbeat(steps=2**40, rows=3),
    control.Failed(code=ExitCode.OUT_OF_MEMORY, message="line one\nline two é"),
]
SAID_TO_WORKERS: list[ToWorker] = [
    control.Start(spec=SPEC),
    control.Stop(reason="idle"),
    control.DumpStacks(),
]
NONSENSE = [
    b"", b"\n", b"hello", b"{}", b"[]", b"null", b'{"type":"Nobody"}', b'{"type":"Hello"}',
    b'{"type":"Hello","pid":"x"}',     b"\xff",
    b'{"type":"Hello\xff"}', b'{"type":"Stop","reason":"\xff"}', b'{"type":"Failed","code":1,"message":""}',
    b'{"type":"Hello","pid":5,"x":' + b"[" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("message", SAID_BY_WORKERS, ids=lambda m: type(m).__name__)
def test_what_a_worker_says_arrives_as_one_line(message: FromWorker) -> None:
    line = control.encode(message)
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    assert control.decode_from_worker(line) == message


@pytest.mark.parametrize("message", SAID_TO_WORKERS, ids=lambda m: type(m).__name__)
def test_what_a_supervisor_says_arrives_as_one_line(message: ToWorker) -> None:
    line = control.encode(message)
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    assert control.decode_to_worker(line) == message


@pytest.mark.parametrize("line", NONSENSE)
def test_nonsense_is_a_decode_error_and_nothing_else(line: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        control.decode_from_worker(line)
    with pytest.raises(msgspec.DecodeError):
        control.decode_to_worker(line)


def test_each_side_refuses_the_other_sides_messages() -> None:
    with pytest.raises(msgspec.DecodeError):
        control.decode_from_worker(control.encode(control.DumpStacks()))
    with pytest.raises(msgspec.DecodeError):
        control.decode_to_worker(control.encode(control.Hello(pid=1)))


def test_a_field_of_a_later_version_is_passed_over() -> None:
    assert control.decode_from_worker(b'{"type":"Hello","pid":5,"mood":"good"}') == control.Hello(5)
