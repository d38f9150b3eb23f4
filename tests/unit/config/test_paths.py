"""Where things are follows from the environment alone, and a socket's path is always short enough."""

import os
from pathlib import Path

import pytest

from mlxd.config.paths import Paths
from mlxd.protocol.errors import ConfigError

HOME = {"HOME": "/home/ann"}


def linux(**env: str) -> Paths:
    """Return the paths on Linux."""
    return Paths.of(HOME | env, platform="linux", uid=501)


def mac(**env: str) -> Paths:
    """Return the paths on a Mac."""
    return Paths.of(HOME | env, platform="darwin", uid=501)


def test_the_usual_places() -> None:
    assert linux() == Paths(
        config_file=Path("/home/ann/.config/mlxd/config.yaml"),
        state_dir=Path("/home/ann/.local/state/mlxd"),
        log_dir=Path("/home/ann/.local/state/mlxd/logs"),
        run_dir=Path("/tmp/mlxd-501"),
        hub_cache=Path("/home/ann/.cache/huggingface/hub"),
    )


def test_a_mac_has_its_own_place_for_logs() -> None:
    paths = mac()
    assert paths.log_dir == Path("/home/ann/Library/Logs/mlxd")
    assert paths.config_file == Path("/home/ann/.config/mlxd/config.yaml")


def test_a_mac_that_clears_its_temporary_folders_every_three_days_leaves_the_sockets() -> None:
    # confstr(3) of _CS_DARWIN_USER_TEMP_DIR, com.apple.bsd.dirhelper; com.apple.tmp_cleaner for /tmp.
    paths = mac(TMPDIR="/var/folders/zz/zyxvpxvq6csfxvn_n0000000000000/T/")
    assert paths.run_dir == Path("/home/ann/.local/state/mlxd/run")
    assert mac(XDG_STATE_HOME="/s").run_dir == Path("/s/mlxd/run")
    assert mac(MLXD_STATE_DIR="/a").run_dir == Path("/a/run")
    assert mac(XDG_RUNTIME_DIR="/r").run_dir == Path("/r/mlxd")


def test_xdg_folders_count_if_they_are_absolute() -> None:
    paths = linux(XDG_CONFIG_HOME="/c", XDG_STATE_HOME="/s", XDG_RUNTIME_DIR="/run/user/501")
    assert paths.config_file == Path("/c/mlxd/config.yaml")
    assert paths.state_dir == Path("/s/mlxd")
    assert paths.run_dir == Path("/run/user/501/mlxd")
    assert linux(XDG_CONFIG_HOME="c", XDG_STATE_HOME="", XDG_RUNTIME_DIR="r") == linux()


def test_our_own_variables_beat_xdg() -> None:
    paths = mac(
        MLXD_CONFIG="~/mine.yaml", MLXD_STATE_DIR="/a", MLXD_LOG_DIR="/b", MLXD_RUN_DIR="/c",
        XDG_CONFIG_HOME="/x", XDG_STATE_HOME="/x", XDG_RUNTIME_DIR="/x", MLXD_HOME="/x",
    )  # fmt: skip
    assert paths.config_file == Path("/home/ann/mine.yaml")
    assert (paths.state_dir, paths.log_dir, paths.run_dir) == (Path("/a"), Path("/b"), Path("/c"))


def test_logs_follow_a_state_folder_that_was_named() -> None:
    assert mac(MLXD_STATE_DIR="/a").log_dir == Path("/a/logs")


def test_one_home_holds_everything() -> None:
    for paths in (linux(MLXD_HOME="/h"), mac(MLXD_HOME="/h", XDG_STATE_HOME="/x")):
        assert paths.config_file == Path("/h/config.yaml")
        assert paths.state_dir == Path("/h/state")
        assert paths.log_dir == Path("/h/state/logs")
        assert paths.run_dir == Path("/h/run")


@pytest.mark.parametrize("name", ["MLXD_RUN_DIR", "MLXD_HOME", "XDG_RUNTIME_DIR", "TMPDIR"])
def test_a_folder_too_long_for_sockets_has_a_short_one_of_its_own(name: str) -> None:
    one, other = (linux(**{name: "/" + letter * 90}).run_dir for letter in "ab")
    assert one.parent == Path("/tmp") and one.name.startswith("mlxd-501-")
    assert one != other
    assert one == linux(**{name: "/" + "a" * 90}).run_dir


def test_a_relative_folder_is_made_absolute() -> None:
    assert linux(MLXD_STATE_DIR="here").state_dir == Path.cwd() / "here"
    assert linux(MLXD_STATE_DIR="~").state_dir == Path("/home/ann")


@pytest.mark.parametrize(
    ("env", "hub"),
    [
        ({"HF_HUB_CACHE": "/hub"}, "/hub"),
        ({"HUGGINGFACE_HUB_CACHE": "/old"}, "/old"),
        ({"HF_HUB_CACHE": "/hub", "HUGGINGFACE_HUB_CACHE": "/old", "HF_HOME": "/hf"}, "/hub"),
        ({"HF_HOME": "/hf"}, "/hf/hub"),
        ({"HF_HOME": "~/hf"}, "/home/ann/hf/hub"),
        ({"HF_HOME": "$DISK/hf", "DISK": "/disk"}, "/disk/hf/hub"),
        ({"XDG_CACHE_HOME": "/cache"}, "/cache/huggingface/hub"),
    ],
)
def test_the_hub_cache_is_where_huggingface_hub_has_it(env: dict[str, str], hub: str) -> None:
    assert linux(**env).hub_cache == Path(hub)


def test_nothing_is_created_by_asking(tmp_path: Path) -> None:
    Paths.of({"MLXD_HOME": str(tmp_path / "h")})
    assert not (tmp_path / "h").exists()


def test_the_folders_are_made_for_this_user_only(tmp_path: Path) -> None:
    paths = Paths.of({"MLXD_HOME": str(tmp_path / "h")})
    paths.prepare()
    paths.prepare()
    for folder in (paths.state_dir, paths.log_dir, paths.run_dir):
        assert folder.stat().st_mode & 0o777 == 0o700
    if paths.run_dir.parent == Path("/tmp"):
        paths.run_dir.rmdir()


def test_a_run_folder_others_may_write_to_is_refused(tmp_path: Path) -> None:
    paths = Paths(*[tmp_path / name for name in ("c", "s", "l", "r", "h")])
    paths.run_dir.mkdir()
    os.chmod(paths.run_dir, 0o777)
    with pytest.raises(ConfigError, match=r"r: expected a folder that only you may write to"):
        paths.prepare()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    paths = Paths(*[tmp_path / name for name in ("c", "s", "l", "r", "h")])
    paths.log_dir.write_text("a file")
    with pytest.raises(ConfigError, match=r"l: cannot be created: File exists$"):
        paths.prepare()
