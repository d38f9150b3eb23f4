"""Be the command `mlxd`: the daemon in the foreground.

Only the standard library is imported up here: a spawned worker runs this module again before it runs its own code.
"""

import argparse
import asyncio
import functools
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlxd.config.paths import Paths
    from mlxd.config.settings import Settings

_FAILED = 1
_MISUSED = 2
_STANDBY_AFTER_S = 0.5
"""First the daemon answers, then it provides for later."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the daemon until it is told to stop; 0 = stopped, 1 = cannot run here, 2 = told nonsense."""
    options = _parser().parse_args(arguments)
    from mlxd.config.paths import Paths
    from mlxd.protocol.errors import ConfigError
    from mlxd.supervisor import listener, log_lines

    try:
        settings = _settings(options)
        address = _address(settings)
        paths = Paths.of(os.environ)
        paths.prepare()
        listener.allow_many_files()
        public = listener.listen(address, settings.server.port)
    except ConfigError as error:
        return _refuse(str(error), _MISUSED)
    except (listener.PortTaken, OSError) as error:
        return _refuse(str(error), _FAILED)
    log_lines.configure(settings.server.log_level, paths.log_dir)
    with public:
        try:
            asyncio.run(_serve(settings, lambda: _settings(options), paths, public))
        except ConfigError as error:
            return _refuse(str(error), _MISUSED)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mlxd",
        description="Serve the local models on one port, in the foreground. `mlxctl start` runs it in the background.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="configuration to use instead of the user's own"
    )
    parser.add_argument("--host", help="address to listen on")
    parser.add_argument("--port", type=_port, help="port to listen on, 0 = any free one")
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and leave")
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"expected 0 to 65535, got {text!r}")
    return int(text)


class _Version(argparse.Action):
    """Look the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *rest: object) -> None:
        print(f"mlxd {_version()}")
        parser.exit()


def _version() -> str:
    from importlib.metadata import version

    return version("mlxd")


def _settings(options: argparse.Namespace) -> "Settings":
    """Read the configuration and put the command line over it. Raises ConfigError."""
    from msgspec.structs import replace

    from mlxd.config.load import load

    settings = load(options.config, os.environ)
    given = {"host": options.host, "port": options.port}
    named = {key: value for key, value in given.items() if value is not None}
    return replace(settings, server=replace(settings.server, **named))


def _address(settings: "Settings") -> str:
    """Return the address to listen on. Raises ConfigError where there is none, or others could reach it unasked."""
    from mlxd.protocol.errors import ConfigError
    from mlxd.supervisor import auth, listener

    host = settings.server.host
    try:
        address = listener.address_of(host)
    except OSError as error:
        raise ConfigError(f"server.host: {host!r} is no address: {error.strerror}") from None
    auth.require_key_beyond_loopback(settings.server, address)
    return address


def _refuse(reason: str, status: int) -> int:
    print(f"mlxd: {reason}", file=sys.stderr)
    return status


async def _drain(*ends: Callable[[], Awaitable[None]]) -> None:
    await asyncio.gather(*(end() for end in ends))


async def _serve(
    settings: "Settings", read: "Callable[[], Settings]", paths: "Paths", public: socket.socket
) -> None:
    """Wire the parts together and serve until a signal."""
    from mlxd.config import catalog
    from mlxd.supervisor import listener, memory, runfile, stale_workers, upstream
    from mlxd.supervisor.app import build_app
    from mlxd.supervisor.assemble import build_pools, build_standby, limits
    from mlxd.supervisor.clock import SystemClock
    from mlxd.supervisor.pressure import Pressure
    from mlxd.supervisor.reload import Reload
    from mlxd.supervisor.responses import Responses
    from mlxd.supervisor.run_directory import RunDirectory
    from mlxd.supervisor.server import Server
    from mlxd.supervisor.status import Status

    sockets = RunDirectory(paths.run_dir)
    url = listener.url_of(public)
    try:
        stale_workers.end_in_background(paths.run_dir, settings.defaults.kill_grace)
        run_dir = sockets.create()
        standby = build_standby(settings, run_dir)
        pools = build_pools(
            settings,
            log_dir=paths.log_dir,
            run_dir=run_dir,
            state_dir=paths.state_dir,
            launcher=standby,
        )
        pressure = Pressure(pools.models, memory.pressure)
        status = Status(
            pools.models,
            clock=SystemClock(),
            footprint=memory.footprint,
            fetch=upstream.fetch,
            standby=standby.pids,
        )
        responses = Responses(settings, pools, paths.state_dir / "responses.db")
        known = catalog.build(settings, paths)
        app = build_app(settings, known, pools, status, responses)
        drain = functools.partial(_drain, pools.shutdown, standby.end)
        reload = Reload(settings, read, known.declare, lambda fresh: pools.bound(limits(fresh)))
        # A terminal that closes sends the same signal; whoever runs mlxd in one expects it to end then.
        on_hangup = None if sys.stdin is not None and sys.stdin.isatty() else reload
        server = Server(app, public, drain=drain, hurry=pools.hurry, reload=on_hangup)
        own = runfile.own(url, _version(), settings.server.api_key)
        runfile.write(paths.state_dir, own)

        def on_listening() -> None:
            print(f"mlxd listening on {url}", flush=True)
            asyncio.get_running_loop().call_later(_STANDBY_AFTER_S, standby.open)
            pressure.start()

        await server.run(on_listening)
        await responses.close()
    finally:
        runfile.remove(paths.state_dir, os.getpid())
        sockets.remove()


if __name__ == "__main__":
    sys.exit(main())
