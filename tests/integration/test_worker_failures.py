"""What a client and the supervisor see of failures inside a worker."""

from pathlib import Path

import pytest
from support import tiny_models
from support.deadline import until
from support.failing_worker import HANGS, POISON
from support.worker_process import PATIENCE, Stream, chat, loaded

from mlxd.protocol.control import DumpStacks, Failed
from mlxd.protocol.errors import ModelLoadFailed
from mlxd.protocol.exit_codes import ExitCode
from mlxd.workers.kinds.registry import MissingExtra, UnservedKind
from mlxd.workers.main import code_of

BAD = {"model": "tiny", "prompt": [1, 2, POISON, 3], "max_tokens": 4}


@pytest.fixture(scope="module")
def model() -> Path:
    return tiny_models.folder("qwen3")


def test_a_request_on_which_the_model_fails_gets_503_and_nobody_else_notices(model: Path) -> None:
    """Promise E6."""
    with loaded(model, entry="support.failing_worker:fails_on_a_row") as process:
        stream = Stream(process, chat(300, stream=True, ignore_eos=True, temperature=0))
        assert stream.started.wait(PATIENCE)
        with process.client() as client:
            answer = client.post("/v1/completions", json=BAD)
            assert answer.status_code == 503 and "planted" in answer.text
            stream.join(60)
            assert "[DONE]" in stream.text and '"error"' not in stream.text
            again = client.post("/v1/chat/completions", json=chat(3, ignore_eos=True))
            assert again.status_code == 200
            assert client.get("/v1/batch/stats").json()["failed"] == 1


def test_an_error_of_the_device_fails_all_rows_and_ends_the_worker_as_poisoned(model: Path) -> None:
    """Promise B5."""
    with loaded(model, entry="support.failing_worker:fails_as_a_device") as process:
        stream = Stream(process, chat(30_000, stream=True, ignore_eos=True))
        assert stream.started.wait(PATIENCE)
        with process.client() as client:
            answer = client.post("/v1/completions", json=BAD)
            assert answer.status_code == 503 and "GPU Hang" in answer.text
        *_, failed = process.until(Failed)
        assert isinstance(failed, Failed) and failed.code is ExitCode.POISONED
        assert "GPU Hang" in failed.message
        assert process.exit_code() == ExitCode.POISONED
        stream.join(PATIENCE)
        assert "worker_died" in stream.text and "[DONE]" not in stream.text


def test_a_step_that_never_ends_keeps_nobody_from_being_told_and_the_process_from_leaving(
    model: Path,
) -> None:
    """Promises A4 and A5, with the engine thread stuck in native code."""
    with loaded(model, entry="support.failing_worker:hangs", heartbeat_interval=0.01) as process:
        stream = Stream(process, chat(30_000, stream=True, ignore_eos=True))
        assert stream.started.wait(PATIENCE)
        hanging = Stream(process, {**chat(4), "messages": [{"role": "user", "content": "hi"}]})
        # It asks for as long as it takes: one that left might do so before the engine had its request.
        bad = Stream(process, BAD, "/v1/completions")
        until(lambda: HANGS in process.log, within=60, what="the step that never ends")
        process.send(DumpStacks())
        until(lambda: "failing_worker.py" in process.log, within=60, what="where it hangs")
        process.stop()
        stream.join(PATIENCE)
        assert "shutting_down" in stream.text and "[DONE]" not in stream.text
        process.channel.close()
        assert process.exit_code() == ExitCode.PARENT_GONE
        hanging.join(PATIENCE)
        bad.join(PATIENCE)


@pytest.mark.parametrize(
    ("error", "loaded_", "code"),
    [
        (MissingExtra("x"), False, ExitCode.MISSING_EXTRA),
        (UnservedKind("x"), False, ExitCode.BAD_SPEC),
        (ModelLoadFailed("x"), False, ExitCode.LOAD_FAILED),
        (RuntimeError("[malloc] Unable to allocate 9 bytes."), False, ExitCode.OUT_OF_MEMORY),
        (MemoryError(), True, ExitCode.OUT_OF_MEMORY),
        (RuntimeError("[METAL] Command buffer execution failed"), True, ExitCode.POISONED),
        (KeyError("x"), False, ExitCode.LOAD_FAILED),
        (KeyError("x"), True, ExitCode.POISONED),
    ],
)
def test_every_error_has_its_exit_code(error: Exception, loaded_: bool, code: ExitCode) -> None:
    assert code_of(error, loaded=loaded_) is code
