"""`mlxctl pull`, `rm` and `search` without a daemon, against a hub on a loopback port."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.daemon import BIN, Home
from support.deadline import until
from support.hub_server import HubServer
from support.model_repo import REPO, WEIGHTS, cached, model_files, partial_bytes, wanted_files
from support.terminal import terminal

LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Runs a command that may write no larger file than this; to it the disk is full."""
SIZE = len(model_files()[WEIGHTS])


def snapshot(home: Home, commit: str) -> Path:
    """Return where a revision ends up."""
    cache = home.folder / ".cache/huggingface/hub"
    return cache / f"models--{REPO.replace('/', '--')}" / "snapshots" / commit


def start(home: Home, *words: str) -> "subprocess.Popen[str]":
    """Start a command that will be interrupted."""
    return subprocess.Popen(
        [BIN / "mlxctl", *words],
        env=home.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_pull_brings_weights_tokenizer_and_config_and_no_pickle_and_no_code(
    hub: HubServer, alone: Home
) -> None:
    done = alone.ctl("pull", REPO)
    assert (done.returncode, done.stderr) == (0, "")
    commit = hub.repos[REPO].refs["main"]
    assert done.stdout.startswith(f"pulled {REPO} at {commit[:12]}: ")
    folder = snapshot(alone, commit)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == wanted_files()
    assert (folder.parents[1] / "refs" / "main").read_text() == commit
    hub.asked.clear()
    assert alone.ctl("pull", REPO).returncode == 0
    assert not [asked for asked in hub.asked if "/resolve/" in asked.path]


def test_a_connection_that_breaks_is_taken_up_where_it_broke(hub: HubServer, alone: Home) -> None:
    hub.cut_after[WEIGHTS] = SIZE // 2
    assert alone.ctl("pull", REPO).returncode == 0
    first, second = hub.ranges(WEIGHTS)
    assert first is None
    assert second is not None and int(second.removeprefix("bytes=").rstrip("-")) >= SIZE // 2 - (
        1 << 18
    )
    assert (
        wanted_files()[WEIGHTS]
        == (snapshot(alone, hub.repos[REPO].refs["main"]) / WEIGHTS).read_bytes()
    )


def test_an_interrupted_pull_goes_on_from_what_it_had_and_is_never_listed_before(
    hub: HubServer, alone: Home
) -> None:
    hub.hold_after[WEIGHTS] = SIZE // 2
    with start(alone, "pull", REPO) as pulling:
        until(lambda: partial_bytes(alone) >= SIZE // 4, within=60, what="half of it came")
        pulling.send_signal(signal.SIGINT)
        _, said = pulling.communicate(timeout=60)
    assert pulling.returncode == 130
    assert "the same command goes on from there" in said
    had = partial_bytes(alone)
    assert had >= SIZE // 4 and not any("snapshots" in name for name in cached(alone))

    hub.release.set()
    assert alone.ctl("pull", REPO).returncode == 0
    assert hub.ranges(WEIGHTS) == [None, f"bytes={had}-"]
    assert partial_bytes(alone) == 0


def test_a_killed_pull_leaves_no_process_behind(hub: HubServer, alone: Home) -> None:
    hub.hold_after[WEIGHTS] = SIZE // 2
    with start(alone, "pull", REPO) as pulling:
        until(lambda: partial_bytes(alone) > 0, within=60, what="some of it came")
        pulling.kill()
    # The child held the lock: only its end lets the next one in.
    hub.release.set()
    assert alone.ctl("pull", REPO, timeout=60).returncode == 0


def test_a_damaged_file_is_not_taken(hub: HubServer, alone: Home) -> None:
    hub.hold_after[WEIGHTS] = SIZE // 2
    with start(alone, "pull", REPO) as pulling:
        until(lambda: partial_bytes(alone) >= SIZE // 4, within=60, what="half of it came")
        pulling.send_signal(signal.SIGINT)
        pulling.communicate(timeout=60)
    cache = alone.folder / ".cache/huggingface/hub"
    (half,) = cache.rglob("?" * 64 + ".incomplete")
    half.write_bytes(b"\xff" * half.stat().st_size)
    hub.release.set()
    done = alone.ctl("pull", REPO)
    assert done.returncode == 1 and f"{WEIGHTS} came damaged" in done.stderr
    assert alone.ctl("pull", REPO).returncode == 0


def test_a_dry_run_says_how_large_it_is_and_whether_it_fits_and_brings_nothing(
    hub: HubServer, alone: Home
) -> None:
    plan = json.loads(alone.ctl("pull", REPO, "--dry-run", "--json").stdout)
    assert plan["total_bytes"] == sum(map(len, wanted_files().values()))
    assert (plan["completed_bytes"], plan["weights_bytes"], plan["fits"]) == (0, SIZE, True)
    assert "fits in memory  yes\n" in alone.ctl("pull", REPO, "--dry-run").stdout
    alone.configure({"memory": {"budget": "1MB"}})
    assert "fits in memory  no\n" in alone.ctl("pull", REPO, "--dry-run").stdout
    assert cached(alone) == []


def test_a_revision_is_got_by_its_name_and_stays_when_main_moves(
    hub: HubServer, alone: Home
) -> None:
    files = {**model_files(), "generation_config.json": b'{"temperature": 0.5}'}
    pinned = hub.add(REPO, files, revision="v1.0")
    assert alone.ctl("pull", f"{REPO}@v1.0").returncode == 0
    assert snapshot(alone, pinned).is_dir()
    refs = snapshot(alone, pinned).parents[1] / "refs"
    assert (refs / "v1.0").read_text() == (refs / "mlxd-pin").read_text() == pinned
    assert alone.ctl("pull", REPO).returncode == 0
    assert sorted(path.name for path in refs.iterdir()) == ["main", "v1.0"]


@pytest.mark.parametrize(
    ("token", "name", "code", "words"),
    [
        (None, "no/such", "repo_not_found", "the hub shows no repository no/such"),
        (None, "tiny-org/private", "repo_not_found", "for a private one set HF_TOKEN"),
        ("wrong", "tiny-org/private", "repo_not_found", "for a private one set HF_TOKEN"),
        ("revoked", REPO, "hub_refused", "does not accept the token"),
        ("right", "tiny-org/gated", "hub_refused", "is gated: accept its terms"),
        (None, f"{REPO}@nope", "repo_not_found", "has no such revision"),
        (None, "../../etc", "invalid_request", "expected a repository of the hub"),
        (None, "tiny-org/pickled", "invalid_request", "only pickled PyTorch weights"),
    ],
)
def test_what_cannot_be_pulled_is_refused_in_words(
    hub: HubServer, alone: Home, token: str | None, name: str, code: str, words: str
) -> None:
    hub.add("tiny-org/private", model_files())
    hub.repos["tiny-org/private"].token = "right"
    hub.add("tiny-org/gated", model_files())
    hub.repos["tiny-org/gated"].gated = True
    hub.add("tiny-org/pickled", {"config.json": b"{}", "pytorch_model.bin": b"x"})
    if token:
        alone.env["HF_TOKEN"] = token
    done = alone.ctl("pull", name, "--json")
    error = json.loads(done.stderr)["error"]
    assert (done.returncode, error["code"]) == (1, code)
    assert words in error["message"] and "Traceback" not in done.stderr
    assert not any("snapshots" in path for path in cached(alone))


def test_a_token_opens_a_private_repository(hub: HubServer, alone: Home) -> None:
    hub.repos[REPO].token = "right"
    alone.env["HF_TOKEN"] = "right"
    assert alone.ctl("pull", REPO).returncode == 0


def test_a_hub_that_does_not_answer_is_named_as_the_reason(alone: Home) -> None:
    alone.env["HF_ENDPOINT"] = "http://127.0.0.1:9"
    done = alone.ctl("pull", REPO)
    assert done.returncode == 1 and "the connection to the hub failed" in done.stderr
    alone.env["HF_HUB_OFFLINE"] = "1"
    assert "HF_HUB_OFFLINE" in alone.ctl("pull", REPO).stderr


def test_a_model_larger_than_the_disk_is_refused_with_the_bytes(
    hub: HubServer, alone: Home
) -> None:
    hub.false_sizes[WEIGHTS] = 10**16
    done = alone.ctl("pull", REPO)
    assert done.returncode == 1
    assert (
        f"needs {10**16 + sum(map(len, wanted_files().values())) - SIZE} more bytes" in done.stderr
    )
    assert cached(alone) == []


def test_a_disk_that_runs_full_gives_a_clear_error_and_leaves_nothing_behind(
    hub: HubServer, alone: Home
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(SIZE // 2), str(BIN / "mlxctl"), "pull", REPO],
        env=alone.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "the disk is full" in done.stderr and "free some space" in done.stderr
    assert cached(alone) == []
    assert not list((alone.folder / ".cache/huggingface/hub").glob("models--*"))


def test_rm_asks_and_deletes_what_was_pulled(hub: HubServer, alone: Home) -> None:
    alone.ctl("pull", REPO)
    assert alone.ctl("rm", REPO).returncode == 2
    done = alone.ctl("rm", REPO, "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"deleted {REPO}: ") and "freed" in done.stdout
    assert cached(alone) == []
    assert alone.ctl("rm", REPO, "--yes").returncode == 1


def test_rm_never_touches_a_folder_of_the_users(alone: Home) -> None:
    own = alone.folder / "own"
    own.mkdir()
    alone.configure({"models": [{"id": "mine", "source": str(own)}]})
    for name, words in (("mine", "is your own folder"), ("demo", "comes with mlxd")):
        done = alone.ctl("rm", name, "--yes")
        assert done.returncode == 1 and words in done.stderr
    assert own.is_dir()


def test_search_says_what_fits(hub: HubServer, alone: Home) -> None:
    alone.configure({"memory": {"budget": "1GB"}})
    hub.repos[REPO].about = {
        "safetensors": {"parameters": {"U32": 100_000_000, "BF16": 1000}, "total": 100_001_000},
        "downloads": 7,
        "pipeline_tag": "text-generation",
    }
    hub.add("tiny-org/tiny-giant", {})
    hub.repos["tiny-org/tiny-giant"].about = {
        "safetensors": {"parameters": {"BF16": 10**12}, "total": 10**12}
    }
    done = alone.ctl("search", "tiny")
    assert (done.returncode, done.stdout.splitlines()) == (
        0,
        [
            "NAME                 SIZE      FITS  DOWNLOADS  TASK",
            f"{REPO}  400.0 MB  yes   7          text-generation",
            "tiny-org/tiny-giant  2.0 TB    no    0          -",
        ],
    )


def test_recommend_asks_nobody_and_shows_what_fits(hub: HubServer, alone: Home) -> None:
    shown = json.loads(alone.ctl("recommend", "--memory", "8GB", "--json").stdout)["data"]
    assert shown and all(one["fits"] for one in shown)
    more = json.loads(alone.ctl("recommend", "--memory", "100GB", "--json").stdout)["data"]
    assert len(more) > len(shown)
    assert hub.asked == []


def test_a_terminal_sees_a_bar_that_goes_away(hub: HubServer, alone: Home) -> None:
    hub.hold_after[WEIGHTS] = SIZE // 2
    command = [str(BIN / "mlxctl"), "pull", REPO]
    with terminal(command, alone.environment()) as screen:
        screen.wait_for("[#")
        hub.release.set()
        screen.wait_for(f"pulled {REPO} at ")
