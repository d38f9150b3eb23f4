"""`mlxctl bench` measures what a real daemon serves, refuses what it cannot, and leaves nothing behind."""

import json
import os
import signal
import subprocess

from conftest import RunDaemon
from support.daemon import BIN, Daemon
from support.deadline import until
from support.tiny_models import folder

ALONE = ["time to first token", "reading the prompt", "writing, 1 stream"]


def test_a_text_model_is_measured_alone_and_with_others(shared_daemon: Daemon) -> None:
    words = ("--runs", "2", "--streams", "3", "--prompt-tokens", "64", "--max-tokens", "24")
    done = shared_daemon.ctl("bench", "demo", *words, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert (found["model"], found["kind"], found["runs"]) == ("mlxd-demo", "text", 2)
    assert found["conditions"] == {"prompt_tokens": 64, "max_tokens": 24, "streams": 3}
    figures = {one["name"]: one for one in found["figures"]}
    together = ["writing, 3 streams together", "writing, each of 3"]
    assert set(figures) <= {*ALONE, *together} and set(figures) >= {*ALONE[2:], *together}
    for one in figures.values():
        assert 0 < one["low"] <= one["median"] <= one["high"]
        assert len(one["samples"]) <= (6 if one["name"] == together[1] else 2)


def test_the_table_has_a_line_for_each_figure(shared_daemon: Daemon) -> None:
    words = ("--runs", "1", "--streams", "1", "--max-tokens", "8", "--prompt-tokens", "16")
    done = shared_daemon.ctl("bench", "demo", *words)
    assert done.returncode == 0, done.stderr
    first, header, *lines = done.stdout.splitlines()
    assert first.startswith("mlxd-demo (text): prompt tokens 16, max tokens 8, streams 1, 1 runs")
    assert header.split() == ["MEASURED", "MEDIAN", "LOW", "HIGH", "N", "UNIT"]
    assert any(line.startswith("writing, 1 stream ") for line in lines)
    assert not any("together" in line for line in lines)


def test_what_cannot_work_is_said(shared_daemon: Daemon) -> None:
    unknown = shared_daemon.ctl("bench", "nobody", "--json")
    assert (unknown.returncode, json.loads(unknown.stderr)["error"]["code"]) == (
        1,
        "model_not_found",
    )
    long = shared_daemon.ctl("bench", "demo", "--prompt-tokens", "100000", "--runs", "1")
    assert (long.returncode, "context length" in long.stderr) == (1, True)
    assert shared_daemon.ctl("bench", "demo", "--streams", "0").returncode == 2


def test_an_interrupt_ends_it_and_what_it_had_asked_for(shared_daemon: Daemon) -> None:
    """Given a benchmark in the midst of its answers, when it gets Ctrl-C, then it leaves and the daemon is idle."""
    process = subprocess.Popen(
        [BIN / "mlxctl", "bench", "demo", "--runs", "1000", "--streams", "4"],
        env=shared_daemon.place.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until(
            lambda: any(one["active_requests"] for one in shared_daemon.ps()),
            within=60,
            what="it asks",
        )
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert (out, err.strip()) == ("", "")
    until(
        lambda: not any(one["active_requests"] for one in shared_daemon.ps()),
        within=60,
        what="nothing of it runs on",
    )


def test_vectors_are_measured_in_texts_and_other_kinds_are_refused(
    running_daemon: RunDaemon,
) -> None:
    kinds = {"vectors": "bert", "ranks": "bert_reranker"}
    models = [{"id": name, "source": str(folder(kind))} for name, kind in kinds.items()]
    daemon = running_daemon({"models": models, "hub": False})
    done = daemon.ctl("bench", "vectors", "--runs", "2", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [one["name"] for one in found["figures"]] == ["one text", "texts", "tokens"]
    assert [len(one["samples"]) for one in found["figures"]] == [2, 2, 2]
    refused = daemon.ctl("bench", "ranks")
    assert (refused.returncode, "is of kind rerank" in refused.stderr) == (2, True)
