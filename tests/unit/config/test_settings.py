"""Every key is explained, twice: in defaults.yaml and beside its field; and no default stands anywhere else."""

import ast
import inspect
import re
import textwrap

import msgspec
import pytest
import yaml

from mlxd.config import settings
from mlxd.config.load import DEFAULTS
from mlxd.config.settings import ModelEntry, PromptCache, Section, Settings, is_pattern

TEXT = DEFAULTS.read_text(encoding="utf-8")
SECTIONS = [
    value
    for value in vars(settings).values()
    if inspect.isclass(value) and issubclass(value, Section) and value is not Section
]


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_field_has_a_sentence(section: type[Section]) -> None:
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(section))).body
    assert isinstance(tree, ast.ClassDef)
    for line, below in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(line, ast.AnnAssign):
            assert isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
            assert re.fullmatch(r"[A-Z].+\.", str(below.value.value))


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_a_struct_has_no_default_but_nothing(section: type[Section]) -> None:
    for field in msgspec.structs.fields(section):
        assert field.default in (msgspec.NODEFAULT, None, (), False)


def test_the_defaults_name_every_key() -> None:
    written = yaml.safe_load(TEXT)
    assert list(written) == [
        "server", "memory", "defaults", "responses", "media", "tracing", "demo", "hub", "models",
    ]  # fmt: skip
    for field in msgspec.structs.fields(Settings):
        if inspect.isclass(field.type) and issubclass(field.type, Section):
            assert set(written[field.name]) == {f.name for f in msgspec.structs.fields(field.type)}


def test_every_key_of_the_defaults_is_explained_in_the_line_above() -> None:
    lines = TEXT.splitlines()
    keys = [n for n, line in enumerate(lines) if re.match(r"( *)(#- |#)?\w+:(?! \S+ \S+ \S)", line)]
    assert len(keys) > 30
    for number in keys:
        assert re.match(r" *# [A-Z`]|  +# .*[.;]$|# .*[.]$", lines[number - 1]), lines[number]


def test_the_example_model_shows_every_key() -> None:
    example = re.search(r"^models: \[\]\n(.+)", TEXT, re.MULTILINE | re.DOTALL)
    assert example is not None
    (entry,) = yaml.safe_load(re.sub(r"^( *)#(?=[\w-])", r"\1", example[1], flags=re.MULTILINE))
    shown = msgspec.convert(
        entry | {"idle_timeout": 1.0, "prompt_cache": PromptCache()}, ModelEntry
    )
    assert set(entry) == {field.name for field in msgspec.structs.fields(ModelEntry)}
    assert shown.id == "qwen3-8b"


@pytest.mark.parametrize(
    ("name", "matches_more"),
    [("a", False), ("a/b", False), ("claude-*", True), ("gpt-4?", True), ("[ab]", True)],
)
def test_a_pattern_is_told_from_a_name(name: str, matches_more: bool) -> None:
    assert is_pattern(name) is matches_more
