"""Each kind's engine is imported on demand; what is missing is named with the way to get it."""

import sys
from pathlib import Path

import pytest

from mlxd.protocol.kinds import ModelKind
from mlxd.workers.kinds import registry
from mlxd.workers.kinds.registry import Entry, MissingExtra, UnservedKind


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the file of a module that can be imported as `an_engine`."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "an_engine", raising=False)
    return tmp_path / "an_engine.py"


def test_text_models_have_an_engine() -> None:
    from mlxd.workers.kinds import text

    assert registry.find(ModelKind.TEXT) is text.load


def test_a_kind_without_an_engine_is_refused_by_name() -> None:
    with pytest.raises(UnservedKind, match="speech"):
        registry.find(ModelKind.SPEECH, {})


def test_a_missing_library_is_named_with_the_command_that_installs_it(module: Path) -> None:
    module.write_text("import no_such_library_at_all")
    engines = {ModelKind.SPEECH: Entry("an_engine", "audio")}
    with pytest.raises(MissingExtra) as missing:
        registry.find(ModelKind.SPEECH, engines)
    assert "no_such_library_at_all" in str(missing.value)
    assert "pip install 'mlxd[audio]'" in str(missing.value)


def test_a_mistake_of_our_own_is_not_taken_for_a_missing_library(module: Path) -> None:
    module.write_text("import mlxd.workers.no_such_module")
    with pytest.raises(ModuleNotFoundError):
        registry.find(ModelKind.SPEECH, {ModelKind.SPEECH: Entry("an_engine", "audio")})
