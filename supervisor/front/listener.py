"""Take the public port: before anything else, never another than asked for, and say who has it if it is taken."""

import errno
import os
import socket
import sys

import psutil

BACKLOG = 2048
_WANTED_FILES = 65536
_FEWER_FILES = 10240
"""What macOS grants at most where it names no hard limit (OPEN_MAX)."""


class PortTaken(Exception):
    """Say which port and, where it can be told, which process has it."""


def address_of(host: str) -> str:
    """Return the numeric address that `host` means; an IPv4 one where there are both. Raises OSError."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    return str(found[0][4][0])


def listen(address: str, port: int, *, platform: str = sys.platform) -> socket.socket:
    """Return a socket that queues connections from now on; port 0 takes a free one. Raises PortTaken."""
    if port and any(_is_bound(other, port) for other in overlapping(address, platform)):
        raise PortTaken(_taken(address, port))
    try:
        listener = _bound(address, port)
        try:
            listener.listen(BACKLOG)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise PortTaken(_taken(address, port)) from None
    listener.setblocking(False)
    return listener


def overlapping(address: str, platform: str) -> tuple[str, ...]:
    """Return the addresses at which another program may listen and the system still gives us the port.

    On a Mac, as on every BSD, SO_REUSEADDR allows that for one address and for all of them, and who connects to this
    machine gets the program with the one (nodejs/node#26274). Without the option no daemon could be restarted.
    """
    if platform != "darwin":
        return ()
    if ":" in address:
        return ("::1", "127.0.0.1") if address == "::" else ("::",)
    return ("127.0.0.1",) if address == "0.0.0.0" else ("0.0.0.0",)


def _bound(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # With the protocol named, or asyncio leaves Nagle's algorithm on and each response waits 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
    except OSError:
        listener.close()
        raise
    return listener


def _is_bound(address: str, port: int) -> bool:
    try:
        _bound(address, port).close()
    except OSError as error:
        return error.errno == errno.EADDRINUSE
    return False


def url_of(listener: socket.socket) -> str:
    """Return the URL at which a client on this machine reaches the listener."""
    host, port = listener.getsockname()[:2]
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def allow_many_files() -> None:
    """Raise the soft limit of open files: each stream takes two, and macOS starts with 256."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (_WANTED_FILES, _FEWER_FILES):
        target = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        if soft != resource.RLIM_INFINITY and target > soft:
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
            except (OSError, ValueError):
                continue
        return


def _taken(address: str, port: int) -> str:
    where = f"port {port} on {address} is taken"
    holder = _holder(port)
    if holder is None:
        return f"{where} by another process; stop it or choose another port with --port"
    return (
        f"{where} by pid {holder.pid} ({holder.name()}); stop it or choose another port with --port"
    )


def _holder(port: int) -> psutil.Process | None:
    """Find the process; those of other users do not show their sockets."""
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        try:
            for connection in process.net_connections(kind="tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                    return process
        except (psutil.Error, OSError):
            continue
    return None
