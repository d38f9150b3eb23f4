"""`mlxctl list` and `mlxctl show` tell what can be asked for."""

import json
import time

import pytest
from support.ctl import Ctl
from support.scripted_http import Script
from support.statuses import entry

from mlxd.supervisor.cli import list_models


def test_list_has_one_line_per_model_with_all_its_names(ctl: Ctl, daemon: Script) -> None:
    hub = entry(
        id="mlx-community/Qwen3-8B-4bit",
        aliases=[],
        weights_bytes=4_610_000_000,
        context_length=40960,
        state="ready",
        source="hub",
        last_used_at=time.time() - 7260.5,
    )
    daemon.answer(
        "GET /v1/models?all=true", {"object": "list", "data": [entry(aliases=["a", "b-*"]), hub]}
    )
    done = ctl("list", "--url", daemon.url)
    assert done.stdout == (
        "NAME                         KIND  SIZE    CONTEXT  STATE    LAST USED  SOURCE    ALIASES\n"
        "mlxd-demo                    text  3.4 MB  2048     stopped  -          embedded  a, b-*\n"
        "mlx-community/Qwen3-8B-4bit  text  4.6 GB  40960    ready    2h1m ago   hub       -\n"
    )


@pytest.mark.parametrize(
    ("at", "shown"),
    [
        (None, "-"),
        (1000.0, "0s ago"),
        (940.2, "59s ago"),
        (1001.0, "0s ago"),
        (-172_800.0, "2d16m ago"),
    ],
)
def test_a_use_is_told_by_how_long_ago_it_was(at: float | None, shown: str) -> None:
    assert list_models.since(at, 1000.0) == shown


def test_list_says_why_a_model_cannot_be_served(ctl: Ctl, daemon: Script) -> None:
    daemon.answer("GET /v1/models?all=true", {"data": [entry(error="config.json: not JSON")]})
    done = ctl("list", "--url", daemon.url)
    assert done.stderr == "mlxd-demo: config.json: not JSON\n"


def test_list_as_json_is_the_daemons_own_answer(ctl: Ctl, daemon: Script) -> None:
    answer = {"object": "list", "data": [entry(new_field={"a": 1})]}
    daemon.answer("GET /v1/models?all=true", answer)
    assert json.loads(ctl("list", "--json", "--url", daemon.url).stdout) == answer


def test_show_writes_every_field_that_says_something(ctl: Ctl, daemon: Script) -> None:
    daemon.answer("GET /v1/models/demo", entry(context_length=None, idle_timeout=600, pin=False))
    done = ctl("show", "demo", "--url", daemon.url)
    created = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(1_700_000_000))
    assert done.stdout == (
        "id            mlxd-demo\n"
        f"created       {created}\n"
        "kind          text\n"
        "state         stopped\n"
        "aliases       demo\n"
        "architecture  qwen3\n"
        "weights       3.4 MB (3400000 bytes)\n"
        "source        embedded\n"
        "idle timeout  10m\n"
        "pin           no\n"
    )


def test_show_writes_what_the_entry_sets_each_on_a_line_of_its_own(
    ctl: Ctl, daemon: Script
) -> None:
    told = {
        "sampling": {"temperature": 0.0, "top_k": 20},
        "system_prompt": "Be brief.",
        "overflow": "truncate",
        "draft_model": "org/small",
        "prompt_lookup": 8,
    }
    daemon.answer("GET /v1/models/demo", entry(**told))
    assert ctl("show", "demo", "--url", daemon.url).stdout.splitlines()[-5:] == [
        "sampling        temperature 0.0, top_k 20",
        "system prompt   Be brief.",
        "overflow        truncate",
        "draft model     org/small",
        "prompt lookup   8",
    ]


def test_show_asks_for_names_with_slashes_and_odd_characters(ctl: Ctl, daemon: Script) -> None:
    path = "GET /v1/models/mlx-community/Qwen3%208B%3F"
    daemon.answer(path, entry())
    assert ctl("show", "mlx-community/Qwen3 8B?", "--url", daemon.url).exit_code == 0
