"""Write everything `mlxctl` says: data to stdout, the rest to stderr. No other file prints."""

import json
import sys
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import NoReturn, Self

import click

from mlxd.supervisor.cli.failure import Failure

_CLEAR_LINE = "\r\x1b[K"


class Output:
    """Write tables, sentences or JSON, as the user asked."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def sentence(self, text: str) -> None:
        """Write one line of result."""
        click.echo(text)

    def piece(self, text: str, *, dim: bool = False) -> None:
        """Write part of a line at once, as a stream brings it."""
        click.echo(click.style(text, dim=True) if dim else text, nl=False)
        sys.stdout.flush()

    def table(self, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Write columns two spaces apart; numbers are the caller's to format."""
        lines = [list(header), *(list(row) for row in rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
        for line in lines:
            cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            click.echo("  ".join(cells).rstrip())

    def fields(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Write one `name  value` line per pair."""
        rows = list(pairs)
        width = max(len(name) for name, _ in rows)
        for name, value in rows:
            click.echo(f"{name.ljust(width)}  {value}".rstrip())

    def json(self, value: object) -> None:
        """Write a value for programs to read."""
        click.echo(json.dumps(value, indent=2, ensure_ascii=False))

    def note(self, text: str) -> None:
        """Tell the user something that is not the result."""
        click.echo(text, err=True)

    def progress(self) -> "Progress":
        """Return a line on the terminal that can be rewritten; silent where stderr is no terminal."""
        return Progress(visible=sys.stderr.isatty() and not self.as_json)

    def complain(self, failure: Failure) -> None:
        """Say why something failed."""
        if self.as_json:
            error = {"message": failure.sentence, "code": failure.code}
            click.echo(json.dumps({"error": error}, ensure_ascii=False), err=True)
        else:
            click.echo(f"mlxctl: {failure.sentence}", err=True)

    def abort(self, failure: Failure) -> NoReturn:
        """Say why the command failed and leave with its exit code."""
        self.complain(failure)
        raise click.exceptions.Exit(failure.exit_code)


class Progress:
    """Show how far something is in one line that goes away when it is done."""

    def __init__(self, *, visible: bool) -> None:
        self.visible = visible

    def __enter__(self) -> Self:
        return self

    def show(self, text: str) -> None:
        """Replace the line."""
        if self.visible:
            click.echo(_CLEAR_LINE + text, err=True, nl=False)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.visible:
            click.echo(_CLEAR_LINE, err=True, nl=False)
