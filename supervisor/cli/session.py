"""Hold what all commands of one call share: the global options, the output, the daemon's address."""

import os
import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlxd.supervisor import runfile
from mlxd.supervisor.cli.client import Client
from mlxd.supervisor.cli.output import Output

if TYPE_CHECKING:
    from mlxd.config.paths import Paths
    from mlxd.config.settings import Settings


class Session:
    """Resolve the global options when a command needs them, not before."""

    def __init__(self) -> None:
        self.url: str | None = None
        self.api_key: str | None = None
        self.json = False

    @cached_property
    def out(self) -> Output:
        """Where the command writes."""
        return Output(as_json=self.json)

    @cached_property
    def paths(self) -> "Paths":
        """This user's folders."""
        from mlxd.config.paths import Paths

        return Paths.of(os.environ)

    def settings(self, config: Path | None = None) -> "Settings":
        """Read the configuration; raises ConfigError."""
        from mlxd.config.load import load

        return load(config, os.environ)

    @cached_property
    def client(self) -> Client:
        """The daemon asked: `--url`, else the one that runs here, else where the configuration puts it."""
        if self.url:
            return Client(self.url, self.api_key)
        if found := runfile.read(self.paths.state_dir):
            return Client(found.url, self.api_key or found.api_key)
        server = self.settings().server
        return Client(f"http://{connectable(server.host)}:{server.port}", self.api_key)


def connectable(host: str) -> str:
    """Return the address at which a daemon bound to `host` is reached from this machine."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{reached}]" if ":" in reached else reached


def _remember(context: click.Context, option: click.Parameter, value: Any) -> None:
    if value not in (None, False) and option.name:
        setattr(context.ensure_object(Session), option.name, value)


def shared_options(*, environment: bool) -> list[click.Parameter]:
    """Return `--url`, `--api-key` and `--json`.

    Every command takes them before and after its name; only the group reads the environment, so that what was
    typed wins wherever it stands.
    """

    def option(name: str, variable: str, text: str) -> click.Option:
        return click.Option(
            [name],
            envvar=variable if environment else None,
            help=f"{text} [env: {variable}]",
            expose_value=False,
            callback=_remember,
        )

    flag = click.Option(
        ["--json"], is_flag=True, expose_value=False, callback=_remember, help="Write JSON."
    )
    return [
        option("--url", "MLXD_URL", "Address of the daemon; default: the one that runs here."),
        option("--api-key", "MLXD_API_KEY", "Key for a daemon that wants one."),
        flag,
    ]


class Command(click.Command):
    """A command that takes the shared options too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += shared_options(environment=False)

    def get_short_help_str(self, limit: int = 45) -> str:
        """Return the help up to its first stop, uncut: a list of half sentences tells nothing."""
        first = (self.help or "").strip().partition("\n\n")[0].replace("\n", " ")
        return re.split(r"[;:.](?:\s|$)", first)[0]

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write examples of the command's use and what its exit codes mean."""
        from mlxd.supervisor.cli.examples import EXAMPLES, EXIT_CODES

        name, _, path = context.command_path.partition(" ")
        if lines := EXAMPLES.get(path):
            with formatter.section("Examples"):
                for line, why in lines:
                    formatter.write(f"  {name} {line}\n      {why}\n")
        with formatter.section("Exit codes"):
            formatter.write_text(EXIT_CODES)
