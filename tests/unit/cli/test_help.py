"""The help of every command is enough to use it."""

import shlex
from collections.abc import Iterator

import click
import pytest
from support.ctl import Ctl

from mlxd.supervisor.cli.examples import EXAMPLES
from mlxd.supervisor.cli.failure import Exit
from mlxd.supervisor.cli.root import mlxctl


def commands(group: click.Group, above: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield every command under its path, those of groups too."""
    for name, command in group.commands.items():
        yield above + name, command
        if isinstance(command, click.Group):
            yield from commands(command, f"{above}{name} ")


ALL = dict(commands(mlxctl))
LINES = [(path, line) for path, lines in EXAMPLES.items() for line, _ in lines]


def test_every_command_has_examples_and_no_other_has() -> None:
    assert sorted(EXAMPLES) == sorted(ALL)


@pytest.mark.parametrize(("path", "line"), LINES, ids=[line for _, line in LINES])
def test_an_example_is_one_of_its_command_and_parses(path: str, line: str) -> None:
    words = shlex.split(line)
    assert line == path or line.startswith(path + " ")
    rest = words[len(path.split()) :]
    command = ALL[path]
    if isinstance(command, click.Group):
        command, rest = command.commands[rest[0]], rest[1:]
    root = click.Context(mlxctl, info_name="mlxctl")
    command.make_context(path, rest, parent=root)


@pytest.mark.parametrize("path", [path for path in ALL if not isinstance(ALL[path], click.Group)])
def test_the_help_names_examples_options_and_exit_codes(ctl: Ctl, path: str) -> None:
    text = ctl(*path.split(), "--help").stdout
    for line, _ in EXAMPLES[path]:
        assert f"mlxctl {line}\n" in text
    assert "Exit codes:" in text
    for option in ALL[path].params:
        assert not isinstance(option, click.Option) or option.help or option.show_default


def test_the_list_of_commands_cuts_no_sentence(ctl: Ctl) -> None:
    assert "..." not in ctl("--help").stdout.replace("[ARGS]...", "")


def test_the_exit_codes_are_all_told(ctl: Ctl) -> None:
    text = " ".join(ctl("--help").stdout.split())
    for code in Exit:
        assert f" {int(code)} " in text
