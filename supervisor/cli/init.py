"""Hold `mlxctl init`."""

from pathlib import Path

import click

from mlxd.supervisor.cli.failure import Misused
from mlxd.supervisor.cli.session import Command, Session


@click.command(cls=Command)
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write it; default: ~/.config/mlxd/config.yaml [env: MLXD_CONFIG]",
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.pass_obj
def init(session: Session, config: Path | None, force: bool) -> None:
    """Write a configuration file with every setting explained."""
    from mlxd.supervisor.cli import config_file

    path = config or session.paths.config_file
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(config_file.text())
    except FileExistsError:
        raise Misused(f"{path} exists; --force replaces it") from None
    except OSError as error:
        raise Misused(f"{path} cannot be written: {error.strerror}") from None
    if session.json:
        session.out.json({"config": str(path)})
    else:
        session.out.sentence(f"wrote {path}; it counts from the next start of mlxd")
