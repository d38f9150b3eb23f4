"""Hold the `mlxctl` group: its commands, its shared options, and how a failure becomes an exit code."""

from typing import Any

import click

from mlxd.protocol.errors import ConfigError
from mlxd.supervisor.cli import (
    bench,
    chat,
    completion,
    connect,
    daemon,
    doctor,
    events,
    init,
    keys,
    list_models,
    load,
    logs,
    plan,
    ps,
    pull,
    recommend,
    reload,
    reset,
    rm,
    search,
    service,
    show,
    status,
    unload,
)
from mlxd.supervisor.cli.examples import EXIT_CODES
from mlxd.supervisor.cli.failure import Exit, Failure, Misused
from mlxd.supervisor.cli.session import Session, shared_options


class Root(click.Group):
    """Turn every foreseen failure into one sentence on stderr."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        session = ctx.ensure_object(Session)
        try:
            return super().invoke(ctx)
        except Failure as failure:
            session.out.abort(failure)
        except ConfigError as error:
            session.out.abort(Misused(error.message, code=error.code))
        except KeyboardInterrupt:
            session.out.note("")
            ctx.exit(Exit.INTERRUPTED)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Keep the commands in the order of their use."""
        return list(self.commands)


@click.group(
    cls=Root,
    params=shared_options(environment=True),
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"Exit codes: {EXIT_CODES}. `mlxctl COMMAND --help` shows examples.",
)
@click.version_option(package_name="mlxd", message="mlxctl %(version)s")
def mlxctl() -> None:
    """Control mlxd, the local inference daemon."""


for command in (
    init.init,
    daemon.start,
    daemon.stop,
    daemon.restart,
    reload.reload,
    status.status,
    service.install,
    service.uninstall,
    ps.ps,
    load.load,
    unload.unload,
    plan.plan,
    reset.reset,
    list_models.list_models,
    show.show,
    pull.pull,
    rm.rm,
    search.search,
    recommend.recommend,
    chat.chat,
    bench.bench,
    logs.logs,
    doctor.doctor,
    connect.connect,
    completion.completion,
    keys.keys,
    events.events,
):
    mlxctl.add_command(command)
