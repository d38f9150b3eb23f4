"""On a terminal, commands show progress and hold conversations; Ctrl-C ends an answer, not the talk."""

import json
import os
from pathlib import Path

import pytest
from support.daemon import BIN
from support.scripted_http import Script
from support.statuses import loaded, status
from support.terminal import CTRL_C, Terminal, terminal

from mlxd.protocol import sse

CHAT = "POST /v1/chat/completions"


def delta(**fields: str) -> bytes:
    """Return one frame of a streamed answer."""
    return sse.event(json.dumps({"choices": [{"index": 0, "delta": fields}]}).encode())


@pytest.fixture
def env(daemon: Script, tmp_path: Path) -> dict[str, str]:
    """Give the environment of a terminal from which the scripted daemon is reached."""
    own = {"MLXD_URL": daemon.url, "MLXD_HOME": str(tmp_path), "TERM": "dumb"}
    return dict(os.environ) | own


def mlxctl(*words: str) -> list[str]:
    """Return the command line."""
    return [str(BIN / "mlxctl"), *words]


def test_a_load_shows_how_far_it_is_and_clears_the_line(
    daemon: Script, env: dict[str, str]
) -> None:
    loading = status(state="loading", memory_bytes=1_200_000_000, weights_bytes=4_300_000_000)
    daemon.answer("GET /v1/ps", {"models": [loading]})
    daemon.answer("POST /v1/models/load", loaded())
    daemon.after["POST /v1/models/load"] = "GET /v1/ps"
    with terminal(mlxctl("load", "mlxd-demo"), env) as screen:
        assert screen.exit_code() == 0
    assert "mlxd-demo: loading, " in screen.screen
    assert "1.2 GB in memory of 4.3 GB weights" in screen.screen
    assert screen.screen.endswith("\r\x1b[Kloaded mlxd-demo in 1.9 s: pid 4242, 85.2 MB\n")


def test_a_conversation_remembers_what_was_said(daemon: Script, env: dict[str, str]) -> None:
    daemon.stream(CHAT, delta(content="Hi!"), sse.DONE)
    with terminal(mlxctl("chat", "demo"), env) as screen:
        ask(screen, "Hello", "Hi!\n")
        ask(screen, "Bye?", "Hi!\n")
        ask(screen, "/clear", "")
        ask(screen, "Again", "Hi!\n")
        screen.type("/bye\n")
        assert screen.exit_code() == 0
    said = [[turn["content"] for turn in body["messages"]] for _, body in daemon.asked]
    assert said == [["Hello"], ["Hello", "Hi!", "Bye?"], ["Again"]]


def ask(screen: Terminal, line: str, answer: str) -> None:
    """Type a line at the prompt and wait for the answer; what was read so far is forgotten."""
    screen.wait_for(">>> ")
    screen.screen = screen.screen.partition(">>> ")[2]
    screen.type(line + "\n")
    screen.wait_for(answer)


def test_ctrl_c_stops_the_answer_cancels_the_request_and_the_talk_goes_on(
    daemon: Script, env: dict[str, str]
) -> None:
    daemon.stream(CHAT, delta(content="One, two, "))
    daemon.endless.add(CHAT)
    with terminal(mlxctl("chat", "demo"), env) as screen:
        ask(screen, "Count", "One, two, ")
        screen.type(CTRL_C)
        screen.wait_for("(stopped)")
        assert daemon.left.wait(timeout=60)
        screen.type("/bye\n")
        assert screen.exit_code() == 0


def test_ctrl_c_ends_a_single_answer_with_exit_code_130(
    daemon: Script, env: dict[str, str]
) -> None:
    daemon.stream(CHAT, delta(content="One, two, "))
    daemon.endless.add(CHAT)
    with terminal(mlxctl("chat", "demo", "Count"), env) as screen:
        screen.wait_for("One, two, ")
        screen.type(CTRL_C)
        assert screen.exit_code() == 130
    assert "Traceback" not in screen.screen


def test_thinking_is_shown_apart_from_the_answer(daemon: Script, env: dict[str, str]) -> None:
    daemon.stream(CHAT, delta(reasoning_content="2+2"), delta(content="4"), sse.DONE)
    with terminal(mlxctl("chat", "demo", "2+2?"), env) as screen:
        assert screen.exit_code() == 0
    assert screen.screen == "\x1b[2m2+2\x1b[0m\n\n4\n"


def test_after_an_error_the_talk_goes_on_without_the_line_that_caused_it(
    daemon: Script, env: dict[str, str]
) -> None:
    daemon.answer(CHAT, {"error": {"message": "too long", "code": "e"}}, status=400)
    with terminal(mlxctl("chat", "demo"), env) as screen:
        ask(screen, "A long story", "mlxctl: too long\n")
        daemon.stream(CHAT, delta(content="Hi!"), sse.DONE)
        ask(screen, "Hello", "Hi!\n")
        screen.type("/bye\n")
        assert screen.exit_code() == 0
    assert daemon.asked[-1][1]["messages"] == [{"role": "user", "content": "Hello"}]
