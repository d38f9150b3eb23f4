"""Hold `mlxctl doctor`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlxd.supervisor.cli.failure import Exit, Misused
from mlxd.supervisor.cli.session import Command, Session

if TYPE_CHECKING:
    from mlxd.supervisor.doctor.facts import Facts
    from mlxd.supervisor.doctor.finding import Finding

_LOG_LINES = 40
_COLORS = {"ok": "green", "warn": "yellow", "fail": "red", "skip": "bright_black"}


@click.command(cls=Command)
@click.option("--config", type=click.Path(exists=True, dir_okay=False, resolve_path=True, path_type=Path),
              help="Configuration file [env: MLXD_CONFIG]")  # fmt: skip
@click.option(
    "--report", is_flag=True, help="Write a report to paste into a bug report, without secrets."
)
@click.pass_context
def doctor(context: click.Context, config: Path | None, report: bool) -> None:
    """Look for what is wrong with this installation, and say what to do about it.

    Where the daemon runs, its demo model makes a token; one that was not loaded is unloaded again. Nothing else is
    changed, and nothing is downloaded. Exit code 1 where a check fails; a warning is none.
    """
    session: Session = context.obj
    if session.url:
        raise Misused("doctor looks at this machine; it takes no --url")
    facts = _facts(session, config)
    from mlxd.supervisor.doctor import checks

    findings = checks.judge(facts)
    if report:
        session.out.sentence(_report(session, facts, findings))
    elif session.json:
        session.out.json(
            {
                name: {"verdict": found.verdict, "says": found.says, "advice": found.advice}
                for name, found in findings.items()
            }
        )
    else:
        _show(session, findings)
    failed = any(found.verdict == "fail" for found in findings.values())
    context.exit(Exit.REFUSED if failed else Exit.DONE)


def _facts(session: Session, config: Path | None) -> "Facts":
    import asyncio

    from mlxd.supervisor.cli import background
    from mlxd.supervisor.doctor import collect

    with session.out.progress() as progress:
        progress.show("looking at this machine")
        line = background.command(background.options(config, None, None))
        facts = collect.of_machine(os.environ, line, config)
        if facts.url is None:
            return facts
        progress.show("having the demo model make a token")
        return asyncio.run(_asked(session, facts))


async def _asked(session: Session, facts: "Facts") -> "Facts":
    from mlxd.supervisor import runfile
    from mlxd.supervisor.client import AsyncClient
    from mlxd.supervisor.doctor import probe

    run = runfile.read(session.paths.state_dir)
    key = session.api_key or (run.api_key if run else None)
    async with AsyncClient(str(facts.url), key) as client:
        return await probe.ask(facts, client)


def _show(session: Session, findings: "dict[str, Finding]") -> None:
    width = max(map(len, findings))
    for name, found in findings.items():
        mark = click.style(found.verdict.ljust(4), fg=_COLORS[found.verdict])
        session.out.sentence(f"{mark}  {name.ljust(width)}  {found.says}")
        if found.advice:
            session.out.sentence(f"{' ' * (width + 8)}→ {found.advice}")


def _report(session: Session, facts: "Facts", findings: "dict[str, Finding]") -> str:
    import getpass

    from mlxd.supervisor import runfile
    from mlxd.supervisor.cli.background import LOG
    from mlxd.supervisor.cli.tail import last_lines
    from mlxd.supervisor.doctor import report
    from mlxd.supervisor.service.plan import SECRETS

    log = facts.paths.log_dir / LOG
    lines = last_lines(log, _LOG_LINES) if log.is_file() else []
    run = runfile.read(session.paths.state_dir)
    secrets = {
        *(os.environ.get(name) or "" for name in (*SECRETS, "MLXD_API_KEY")),
        session.api_key or "",
        (run.api_key if run else None) or "",
        (facts.settings.server.api_key if facts.settings else None) or "",
    }
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = ""
    text = report.write(facts, findings, lines)
    return report.redact(text, home=str(Path.home()), user=user, secrets=secrets)
