"""A document knows where each of its keys stands."""

import pytest

from mlxd.config.document import KeyPath, parse, show

TEXT = """\
server:
  port: 1
models:
- id: a
  aliases:
  - b
-
  id: c
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 1), (("server",), 1), (("server", "port"), 2), (("models", 0), 4), (("models", 0, "aliases", 0), 6),
        (("models", 1, "id"), 8),
    ],
)  # fmt: skip
def test_a_key_has_its_line(path: KeyPath, line: int) -> None:
    assert parse(TEXT, "x").line(path) == line


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("server", "host"), 1), (("server", "port", "deeper"), 2), (("models", 5), 3), (("models", "id"), 3),
        (("nothing",), 1),
    ],
)  # fmt: skip
def test_a_key_that_is_not_there_has_the_line_of_the_one_above_it(path: KeyPath, line: int) -> None:
    assert parse(TEXT, "x").line(path) == line


def test_an_empty_document_has_a_line_too() -> None:
    document = parse("", "x")
    assert (document.value, document.line(("a",))) == (None, 1)


def test_an_error_without_a_key_names_the_file_and_line() -> None:
    assert parse(TEXT, "x").error((), "no").message == "x:1: no"


def test_a_path_is_shown_as_people_write_it() -> None:
    assert show(("models", 0, "prompt_cache", "disk")) == "models[0].prompt_cache.disk"
    assert show(()) == ""


def test_what_an_alias_names_twice_is_read_once() -> None:
    """Nine levels of nine aliases would be a billion values."""
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    value = parse("\n".join(levels), "x").value
    assert isinstance(value, dict)
    assert value["a8"][0] is value["a8"][8]
