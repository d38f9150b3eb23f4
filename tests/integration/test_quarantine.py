"""Through the daemon: a model that cannot be loaded is quarantined by name, and a reset lets it be tried again."""

import json
import urllib.error
from pathlib import Path
from typing import Any

from support.daemon import Daemon
from support.deadline import until
from support.tiny_models import copy


def refusal(daemon: Daemon) -> dict[str, Any]:
    """Return the error a request for the model gets."""
    body = {"model": "broken", "messages": [{"role": "user", "content": "Hi"}]}
    try:
        daemon.post("/v1/chat/completions", body)
    except urllib.error.HTTPError as error:
        assert error.code == 503
        answer: dict[str, Any] = json.load(error)["error"]
        return answer
    raise AssertionError("a broken model answered")


def test_a_model_that_fails_twice_waits_for_a_reset(running_daemon: Any, tmp_path: Path) -> None:
    folder = copy("qwen3", tmp_path / "broken")
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    # The header stays whole, so that only reading the weights finds out.
    weights.write_bytes(whole[: len(whole) // 2])
    limits = {"quarantine_after": 2, "backoff": 0.1, "backoff_max": 0.1, "standby_workers": 0}
    models = [{"id": "broken", "source": str(folder)}]
    daemon = running_daemon({"models": models, "defaults": limits, "hub": False})

    def quarantined() -> str | None:
        message: str = refusal(daemon)["message"]
        return message if "quarantined" in message else None

    # Between the two failures the first one's error is what everybody gets.
    assert "is not available" in refusal(daemon)["message"]
    told = until(quarantined, within=60, what="the second failure")
    assert "mlxctl reset broken" in told
    shown = daemon.ps()[0]
    assert (shown["state"], shown["quarantined"], shown["retry_at"]) == ("backoff", True, None)

    weights.write_bytes(whole)
    done = daemon.ctl("reset", "broken")
    assert done.returncode == 0 and "may be tried again" in done.stdout
    body = {"model": "broken", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}
    assert daemon.post("/v1/chat/completions", body)["model"] == "broken"
    assert "no failure to forget" in daemon.ctl("reset", "broken").stdout
