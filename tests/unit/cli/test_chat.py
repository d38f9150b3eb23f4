"""`mlxctl chat` streams one answer, from arguments or from a pipe."""

import json

import pytest
from support.ctl import Ctl
from support.scripted_http import Script
from support.statuses import entry

from mlxd.protocol import sse

CHAT = "POST /v1/chat/completions"


def delta(**fields: str) -> bytes:
    """Return one frame of a streamed answer."""
    return sse.event(json.dumps({"choices": [{"index": 0, "delta": fields}]}).encode())


def test_a_prompt_in_the_arguments_is_answered_once(ctl: Ctl, daemon: Script) -> None:
    daemon.stream(
        CHAT,
        sse.COMMENT,
        delta(role="assistant"),
        delta(content="Hel"),
        delta(content="lo"),
        sse.DONE,
    )
    done = ctl("chat", "demo", "say", "hello", "--system", "Be brief.", "--url", daemon.url)
    assert (done.stdout, done.stderr, done.exit_code) == ("Hello\n", "", 0)
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "say hello"},
    ]
    assert daemon.asked == [(CHAT, {"model": "demo", "messages": messages, "stream": True})]


def test_a_pipe_is_the_prompt_and_sampling_goes_along(ctl: Ctl, daemon: Script) -> None:
    daemon.stream(CHAT, delta(content="ok"), sse.DONE)
    words = ("chat", "demo", "--max-tokens", "7", "--temperature", "0", "--url", daemon.url)
    assert ctl(*words, stdin="line 1\nline 2\n").stdout == "ok\n"
    assert daemon.asked[0][1] == {
        "model": "demo",
        "messages": [{"role": "user", "content": "line 1\nline 2\n"}],
        "max_tokens": 7,
        "temperature": 0.0,
        "stream": True,
    }


def test_thinking_does_not_reach_a_pipe(ctl: Ctl, daemon: Script) -> None:
    daemon.stream(CHAT, delta(reasoning_content="hmm"), delta(content="4"), sse.DONE)
    assert ctl("chat", "demo", "2+2?", "--url", daemon.url).stdout == "4\n"


def test_without_a_name_the_loaded_model_answers(ctl: Ctl, daemon: Script) -> None:
    models = [
        entry(id="cold"),
        entry(id="ear", kind="embedding", state="ready"),
        entry(id="warm", state="ready"),
    ]
    daemon.answer("GET /v1/models", {"data": models})
    daemon.stream(CHAT, delta(content="hi"), sse.DONE)
    ctl("chat", "--url", daemon.url, stdin="hi")
    assert daemon.asked[-1][1]["model"] == "warm"


def test_a_daemon_without_models_says_where_to_look(ctl: Ctl, daemon: Script) -> None:
    daemon.answer("GET /v1/models", {"data": []})
    done = ctl("chat", "--url", daemon.url, stdin="hi")
    assert done.stderr == "mlxctl: no model to chat with; `mlxctl list` shows what there is\n"


def test_an_error_in_the_stream_keeps_what_came_and_exits_1(ctl: Ctl, daemon: Script) -> None:
    error = {"error": {"message": "the worker died: killed by SIGKILL", "code": "worker_died"}}
    daemon.stream(CHAT, delta(content="Once upon"), sse.event(json.dumps(error).encode()))
    done = ctl("chat", "demo", "tell", "--url", daemon.url)
    assert done.stdout == "Once upon\n"
    assert done.stderr == "mlxctl: the worker died: killed by SIGKILL\n"
    assert done.exit_code == 1


def test_a_stream_that_just_ends_is_a_failure(ctl: Ctl, daemon: Script) -> None:
    daemon.stream(CHAT, delta(content="Once"))
    done = ctl("chat", "demo", "tell", "--url", daemon.url)
    assert (done.stderr, done.exit_code) == ("mlxctl: the answer broke off\n", 1)


def test_json_is_the_whole_answer_unstreamed(ctl: Ctl, daemon: Script) -> None:
    daemon.answer(CHAT, {"choices": [{"message": {"content": "hi"}}]})
    done = ctl("chat", "demo", "hi", "--json", "--url", daemon.url)
    assert json.loads(done.stdout)["choices"][0]["message"]["content"] == "hi"
    assert "stream" not in daemon.asked[0][1]


@pytest.mark.parametrize("stdin", ["", "  \n"])
def test_an_empty_pipe_is_a_usage_error(ctl: Ctl, daemon: Script, stdin: str) -> None:
    done = ctl("chat", "demo", "--url", daemon.url, stdin=stdin)
    assert (done.stderr, done.exit_code) == ("mlxctl: the prompt is empty\n", 2)
