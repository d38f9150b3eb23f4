"""Be the command `mlxd`: the daemon in the foreground.

Only the standard library is imported up here: a spawned worker runs this module again before it runs its own code.
"""

import argparse
import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlxd.config.paths import Paths
    from mlxd.config.settings import Settings

_FAILED = 1
_MISUSED = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the daemon until it is told to stop; 0 = stopped, 1 = cannot run here, 2 = told nonsense."""
    options = _parser().parse_args(arguments)
    from mlxd.config.paths import Paths
    from mlxd.protocol.errors import ConfigError
    from mlxd.supervisor import runfile
    from mlxd.supervisor.front import listener
    from mlxd.supervisor.logs import log_lines

    try:
        settings = _settings(options)
        paths = Paths.of(os.environ)
        address = _address(settings, paths)
        paths.prepare()
        listener.allow_many_files()
        public = listener.listen(address, settings.server.port)
    except ConfigError as error:
        return _refuse(str(error), _MISUSED)
    except (listener.PortTaken, OSError) as error:
        return _refuse(str(error), _FAILED)
    log_lines.configure(settings.server.log_level, paths.log_dir)
    # Whoever started us may ignore it, which we would inherit: the system would reap our workers and tell nobody.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with public:
        try:
            asyncio.run(_serve(settings, lambda: _settings(options), paths, public))
        except ConfigError as error:
            return _refuse(str(error), _MISUSED)
        except (
            runfile.NotWritten
        ) as error:  # a full disk, say: whoever keeps us running may try again
            return _refuse(str(error), _FAILED)
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


def _address(settings: "Settings", paths: "Paths") -> str:
    """Return the address to listen on. Raises ConfigError where there is none, or others could reach it unasked."""
    from mlxd.protocol.errors import ConfigError
    from mlxd.supervisor.access import access
    from mlxd.supervisor.front import listener

    host = settings.server.host
    try:
        address = listener.address_of(host)
    except OSError as error:
        raise ConfigError(f"server.host: {host!r} is no address: {error.strerror}") from None
    access.require_key_beyond_loopback(settings.server, address, paths.state_dir)
    return address


def _refuse(reason: str, status: int) -> int:
    print(f"mlxd: {reason}", file=sys.stderr)
    return status


async def _serve(
    settings: "Settings", read: "Callable[[], Settings]", paths: "Paths", public: socket.socket
) -> None:
    """Serve until a signal."""
    from mlxd.supervisor.house import serve

    await serve(settings, read, paths, public, _version())


if __name__ == "__main__":
    sys.exit(main())
