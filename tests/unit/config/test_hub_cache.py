"""The Hugging Face cache is read as huggingface_hub leaves it, half downloads and all."""

import errno
import os
import shutil
from pathlib import Path

import pytest
from support.model_folders import Hub, text_files

from mlxd.config import model_folder
from mlxd.config.hub_cache import HubCache, HubModel

ID = "mlx-community/Qwen3-8B-4bit"


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    """Give an empty cache."""
    return Hub(tmp_path / "hub")


def only(cache: HubCache) -> HubModel:
    """Return the one model of a cache."""
    (found,) = cache.scan()
    return found


def test_no_cache_is_an_empty_one(tmp_path: Path) -> None:
    assert HubCache(tmp_path / "nowhere").scan() == ()
    assert HubCache(tmp_path / "nowhere").find(ID) is None
    (tmp_path / "file").write_text("")
    assert HubCache(tmp_path / "file").scan() == ()


@pytest.mark.parametrize(
    ("code", "hints"), [(errno.EPERM, True), (errno.EACCES, False), (errno.EIO, False)]
)
def test_a_cache_that_cannot_be_read_is_told_of_once(
    hub: Hub,
    code: int,
    hints: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # EPERM is what launchd's agents get of external disks, ~/Documents and the like until the user allows it.
    hub.pull(ID)
    cache = HubCache(hub.root)

    def refuse(path: object) -> list[str]:
        raise OSError(code, os.strerror(code))

    for _ in range(2):
        with monkeypatch.context() as changed:
            changed.setattr(os, "listdir", refuse)
            assert cache.scan() == cache.scan() == ()
        assert only(cache).id == ID
    assert len(caplog.messages) == 2 and os.strerror(code) in caplog.messages[0]
    assert ("Privacy & Security" in caplog.messages[0]) is hints


def test_a_model_is_found_under_its_id(hub: Hub) -> None:
    snapshot = hub.pull(ID)
    hub.pull("gpt2")
    (hub.root / "datasets--a--b").mkdir()
    (hub.root / ".locks").mkdir()
    (hub.root / "models--stray").write_text("")
    found = {model.id: model for model in HubCache(hub.root).scan()}
    assert set(found) == {ID, "gpt2", "stray"}
    assert found[ID].folder.path == snapshot
    assert (found[ID].revision, found[ID].folder.problem) == ("c0ffee", None)
    assert found["stray"].folder.problem == "nothing of it was downloaded"
    assert HubCache(hub.root).find(ID) == found[ID]


def test_the_revision_main_points_to_is_taken(hub: Hub) -> None:
    hub.pull(ID, revision="aaa")
    hub.pull(ID, revision="bbb", main=False)
    os.utime(hub.place(ID) / "snapshots" / "aaa", (1, 1))
    assert only(HubCache(hub.root)).revision == "aaa"


def test_without_main_the_newest_complete_revision_is_taken(hub: Hub) -> None:
    for age, revision in enumerate(["ccc", "bbb", "aaa"]):
        hub.pull(ID, revision=revision, main=False)
        os.utime(hub.place(ID) / "snapshots" / revision, (1000 - age, 1000 - age))
    assert only(HubCache(hub.root)).revision == "ccc"
    (hub.place(ID) / "snapshots" / "ccc" / "model.safetensors").unlink()
    os.utime(hub.place(ID) / "snapshots" / "ccc", (1000, 1000))
    assert only(HubCache(hub.root)).revision == "bbb"


def test_while_a_new_revision_comes_the_old_one_serves(hub: Hub) -> None:
    hub.pull(ID, revision="old")
    hub.pull(ID, {"config.json": "{}"}, revision="new")
    assert only(HubCache(hub.root)).revision == "old"


@pytest.mark.parametrize("ref", ["../../elsewhere", "", "a/b", "\udcff"])
def test_a_ref_that_leads_elsewhere_counts_as_none(hub: Hub, ref: str) -> None:
    hub.pull(ID)
    (hub.place(ID) / "refs" / "main").write_bytes(ref.encode(errors="surrogateescape"))
    assert only(HubCache(hub.root)).revision == "c0ffee"


def test_an_unfinished_download_is_said_to_be_one(hub: Hub) -> None:
    files = text_files()
    del files["model.safetensors"]
    hub.pull(ID, files)
    assert only(HubCache(hub.root)).folder.missing == "it has no weights"
    (hub.place(ID) / "blobs" / "abc.incomplete").write_bytes(b"w")
    found = only(HubCache(hub.root))
    assert found.folder.missing == "it has no weights, a download is not finished"


def test_a_model_without_blobs_is_read_too(hub: Hub) -> None:
    """Where links are not possible the hub's library copies files."""
    snapshot = hub.pull(ID)
    for name in text_files():
        content = (snapshot / name).read_bytes()
        (snapshot / name).unlink()
        (snapshot / name).write_bytes(content)
    shutil.rmtree(hub.place(ID) / "blobs")
    assert only(HubCache(hub.root)).folder.problem is None
    (snapshot / "model.safetensors").unlink()
    assert only(HubCache(hub.root)).folder.missing == "it has no weights"


class TestLookingAgain:
    """A second look costs a few `stat`s, and sees every change."""

    @pytest.fixture
    def reads(self, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
        """Record which folders are read."""
        seen: list[Path] = []
        read = model_folder.read

        def recorded(path: Path, name: str | None = None) -> model_folder.ModelFolder:
            seen.append(path)
            return read(path, name)

        monkeypatch.setattr(model_folder, "read", recorded)
        return seen

    def test_nothing_is_read_again_that_has_not_changed(self, hub: Hub, reads: list[Path]) -> None:
        hub.pull(ID)
        hub.age(ID)
        cache = HubCache(hub.root)
        assert cache.scan() == cache.scan()
        assert cache.find(ID) is not None
        assert len(reads) == 1

    def test_what_changed_just_now_is_read_again(self, hub: Hub, reads: list[Path]) -> None:
        """Two changes within one tick of the file system's clock look like one."""
        hub.pull(ID)
        cache = HubCache(hub.root)
        cache.scan()
        cache.scan()
        assert len(reads) == 2

    def test_a_finished_download_is_seen(self, hub: Hub) -> None:
        files = text_files()
        hub.pull(ID, {"config.json": files.pop("config.json")})
        hub.age(ID)
        cache = HubCache(hub.root)
        assert only(cache).folder.problem is not None
        hub.pull(ID, files)
        assert only(cache).folder.problem is None

    def test_a_new_revision_is_seen(self, hub: Hub) -> None:
        hub.pull(ID, revision="old")
        hub.age(ID)
        cache = HubCache(hub.root)
        assert only(cache).revision == "old"
        hub.pull(ID, revision="new")
        assert only(cache).revision == "new"

    def test_a_file_linked_from_a_blob_that_was_there_is_seen(self, hub: Hub) -> None:
        snapshot = hub.pull(ID)
        link = snapshot / "tokenizer.json"
        target = os.readlink(link)
        link.unlink()
        hub.age(ID)
        cache = HubCache(hub.root)
        assert only(cache).folder.missing == "it has no tokenizer"
        link.symlink_to(target)
        assert only(cache).folder.problem is None

    def test_a_model_that_is_gone_is_forgotten(self, hub: Hub) -> None:
        hub.pull(ID)
        hub.age(ID)
        cache = HubCache(hub.root)
        cache.scan()
        shutil.rmtree(hub.place(ID))
        assert cache.scan() == ()
        assert cache.find(ID) is None
