"""A worker's life as the supervisor sees it: messages, deadlines, exit codes."""

import signal
from pathlib import Path

import pytest
from support import tiny_models
from support.deadline import until
from support.worker_process import PATIENCE, Stream, chat, loaded, worker

from mlxd.protocol.control import DumpStacks, Failed, Heartbeat, Hello, LoadProgress, Ready, Used
from mlxd.protocol.exit_codes import ExitCode
from mlxd.protocol.kinds import ModelKind


@pytest.fixture(scope="module")
def model() -> Path:
    return tiny_models.folder("qwen3", "--context", "32768")


def test_a_worker_says_hello_reports_its_load_and_answers_once_it_is_ready(model: Path) -> None:
    with worker() as process:
        assert process.receive() == Hello(pid=process.pid)
        *progress, ready = process.load(model)
        assert isinstance(ready, Ready)
        size = (model / "model.safetensors").stat().st_size
        assert 0.9 * size < ready.weights_bytes <= size and ready.context_length == 32768
        assert all(isinstance(message, LoadProgress) for message in progress)
        assert progress[-1] == LoadProgress(ready.weights_bytes, ready.weights_bytes)
        with process.client() as client:
            answer = client.post("/v1/chat/completions", json=chat(5, temperature=0))
            assert answer.status_code == 200, answer.text
            assert answer.json()["usage"]["completion_tokens"] == 5
            assert answer.json()["model"] == "tiny"


def test_the_socket_is_for_its_owner_only_and_gone_afterwards(model: Path) -> None:
    with loaded(model) as process:
        assert Path(process.socket).stat().st_mode & 0o777 == 0o600
        process.stop()
        assert process.exit_code() == ExitCode.OK
        assert not Path(process.socket).exists()


def test_heartbeats_come_while_rows_run_and_stop_when_they_are_done(model: Path) -> None:
    with loaded(model, heartbeat_interval=0.05) as process:
        stream = Stream(process, chat(400, ignore_eos=True))
        beats: list[Heartbeat] = []
        while not beats or beats[-1].rows:
            beats += [beat for beat in process.until(Heartbeat) if isinstance(beat, Heartbeat)]
        stream.join()
        assert len(beats) > 2
        assert [beat.steps for beat in beats] == sorted({beat.steps for beat in beats[:-1]}) + [
            beats[-1].steps
        ]
        process.stop()
        assert all(isinstance(message, Used) for message in iter(process.receive, None))


@pytest.mark.alone
def test_an_idle_worker_uses_no_processor_time(model: Path) -> None:
    with loaded(model) as process:
        with process.client() as client:
            client.post("/v1/chat/completions", json=chat(3))
            settled = until(
                lambda: _cache_is_empty(client.get("/v1/batch/stats").json()),
                within=60,
                what="the worker rests",
            )
        assert settled
        # What it has to finish may take it longer where others use the machine; then it rests for good.
        until(lambda: process.cpu_of(1.5) <= 0.03, within=60, what="it uses no processor time")


def _cache_is_empty(stats: dict[str, float]) -> bool:
    return stats["cache_memory_bytes"] == 0


@pytest.mark.parametrize("how", ["stop", "sigterm"])
def test_asked_to_leave_it_fails_what_runs_and_exits_0(model: Path, how: str) -> None:
    """Promise A5: at once, not after the answer."""
    with loaded(model) as process:
        stream = Stream(process, chat(30_000, stream=True, ignore_eos=True))
        assert stream.started.wait(PATIENCE)
        process.stop() if how == "stop" else process.signal(signal.SIGTERM)
        assert process.exit_code() == ExitCode.OK
        stream.join()
        assert "shutting_down" in stream.text and "[DONE]" not in stream.text
        assert "freed active_bytes=" in process.log


def test_without_a_supervisor_it_leaves_by_itself(model: Path) -> None:
    """Promise A4: busy or not."""
    with loaded(model) as process:
        stream = Stream(process, chat(30_000, stream=True, ignore_eos=True))
        assert stream.started.wait(PATIENCE)
        process.channel.close()
        assert process.exit_code() == ExitCode.PARENT_GONE


@pytest.mark.parametrize("how", ["stop", "sigterm", "end of file"])
def test_a_worker_in_reserve_leaves_as_well(how: str) -> None:
    with worker() as process:
        process.until(Hello)
        match how:
            case "stop":
                process.stop()
            case "sigterm":
                process.signal(signal.SIGTERM)
            case _:
                process.channel.close()
        gone = ExitCode.PARENT_GONE if how == "end of file" else ExitCode.OK
        assert process.exit_code(within=60) == gone


def test_a_terminals_interrupt_is_not_for_the_worker(model: Path) -> None:
    with loaded(model) as process:
        process.signal(signal.SIGINT)
        with process.client() as client:
            assert client.get("/health").status_code == 200
        process.stop()
        assert process.exit_code() == ExitCode.OK


def test_it_writes_its_stacks_when_asked(model: Path) -> None:
    with loaded(model) as process:
        with process.client() as client:  # ready is said before the engine's loop begins
            assert client.post("/v1/chat/completions", json=chat(1)).status_code == 200
        process.send(DumpStacks())
        until(lambda: "in _answer" in process.log, within=60, what="the engine thread's stack")


@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGSEGV])
def test_a_crash_in_native_code_leaves_its_stacks_in_the_log(number: signal.Signals) -> None:
    """Metal's assertions (MTLReportFailure) abort, and launchd keeps no Python stack."""
    with worker() as process:
        assert isinstance(process.receive(), Hello)
        process.signal(number)
        assert process.exit_code() == -number
        assert "Fatal Python error: " in process.log and "workers/main.py" in process.log


def test_wiring_stays_off_after_it_generated(model: Path) -> None:
    """Promise B1."""
    with loaded(model) as process, process.client() as client:
        client.post("/v1/chat/completions", json=chat(3))
        assert client.get("/v1/batch/stats").json()["wired_limit_bytes"] == 0


# --- loads that fail ------------------------------------------------------------------------


def failure(folder: Path, kind: ModelKind = ModelKind.TEXT) -> tuple[Failed, int, str]:
    with worker() as process:
        *_, last = process.load(folder, kind=kind)
        assert isinstance(last, Failed), last
        return last, process.exit_code(), process.log


def test_a_folder_that_is_none_fails_the_load_with_a_sentence(tmp_path: Path) -> None:
    failed, code, log = failure(tmp_path / "nowhere")
    assert (failed.code, code) == (ExitCode.LOAD_FAILED, ExitCode.LOAD_FAILED)
    assert "nowhere" in failed.message and "config.json" in failed.message
    assert "LOAD_FAILED" in log


def test_weights_cut_short_fail_the_load(tmp_path: Path) -> None:
    broken = tiny_models.copy("qwen3", tmp_path / "broken")
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4000])
    failed, code, _ = failure(broken)
    assert code == failed.code == ExitCode.LOAD_FAILED


def test_a_model_that_brings_code_is_refused(tmp_path: Path) -> None:
    own = tiny_models.copy("qwen3", tmp_path / "own")
    config = (own / "config.json").read_text()
    (own / "config.json").write_text(config.replace("{", '{"model_file": "evil.py",', 1))
    (own / "evil.py").write_text("raise SystemExit('ran')")
    failed, code, log = failure(own)
    assert code == ExitCode.LOAD_FAILED and "evil.py" in failed.message and "ran" not in log


def test_a_folder_of_another_kind_fails_the_load(model: Path) -> None:
    failed, code, _ = failure(model, ModelKind.IMAGE)
    assert code == failed.code == ExitCode.LOAD_FAILED and "model_index.json" in failed.message


def test_a_message_it_does_not_understand_ends_the_worker() -> None:
    with worker() as process:
        process.until(Hello)
        process.channel.sendall(b'{"type": "Dance"}\n')
        (failed,) = process.until(Failed)
        assert isinstance(failed, Failed) and "Dance" in failed.message
        assert process.exit_code(within=60) == ExitCode.BAD_SPEC
