"""The public port is taken first, as asked, and refused in words."""

import os
import resource
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from mlxd.config.settings import Server
from mlxd.protocol.errors import ConfigError
from mlxd.protocol.keys import KeyRequest
from mlxd.supervisor.access import access
from mlxd.supervisor.access.keys import FILE, Keys
from mlxd.supervisor.front import listener
from mlxd.supervisor.front.listener import PortTaken

ELSEWHERE = "0.0.0.0" if sys.platform == "darwin" else "127.0.0.2"
"""Where a program may listen that the system would not see in our way."""


def test_port_0_takes_a_free_one_and_connections_queue_at_once() -> None:
    with listener.listen("127.0.0.1", 0) as taken:
        url = listener.url_of(taken)
        assert url == f"http://127.0.0.1:{taken.getsockname()[1]}"
        with socket.create_connection(taken.getsockname(), timeout=60):
            pass


def test_asyncio_will_switch_off_nagles_algorithm_on_its_connections() -> None:
    """asyncio does so only for sockets that name their protocol; without it each response waits 40 ms."""
    with listener.listen("127.0.0.1", 0) as taken:
        assert taken.proto == socket.IPPROTO_TCP


def test_a_taken_port_names_its_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(PortTaken, match=f"port {port} on 127.0.0.1 is taken"):
            listener.listen("127.0.0.1", port)


@pytest.fixture
def port() -> int:
    """Return a port that is free on loopback: one that is free elsewhere may be the end of somebody's connection."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_a_port_that_a_mac_would_let_two_programs_share_is_taken(port: int) -> None:
    # Linux refuses all addresses where another program has one, and so shows here what only a Mac has to ask for.
    with socket.create_server((ELSEWHERE, port)):
        with pytest.raises(PortTaken, match=f"port {port} on 127.0.0.1 is taken"):
            listener.listen("127.0.0.1", port, platform="darwin")
    listener.listen("127.0.0.1", port, platform="darwin").close()


def test_on_linux_each_address_has_ports_of_its_own(port: int) -> None:
    with socket.create_server((ELSEWHERE, port)):
        listener.listen("127.0.0.1", port, platform="linux").close()


@pytest.mark.parametrize(
    ("address", "others"),
    [
        ("127.0.0.1", ("0.0.0.0",)), ("192.168.1.2", ("0.0.0.0",)), ("0.0.0.0", ("127.0.0.1",)),
        ("::1", ("::",)), ("::", ("::1", "127.0.0.1")),
    ],
)  # fmt: skip
def test_one_address_and_all_of_them_overlap_on_a_mac(address: str, others: Sequence[str]) -> None:
    assert listener.overlapping(address, "darwin") == others
    assert listener.overlapping(address, "linux") == ()


def test_an_address_of_all_is_reached_over_loopback() -> None:
    with listener.listen("0.0.0.0", 0) as taken:
        assert listener.url_of(taken).startswith("http://127.0.0.1:")


def test_a_name_means_its_ipv4_address_where_it_has_one() -> None:
    assert listener.address_of("localhost") == "127.0.0.1"
    assert listener.address_of("127.0.0.2") == "127.0.0.2"
    with pytest.raises(OSError):
        listener.address_of("no such host")


def test_the_limit_of_open_files_is_raised() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    low = min(256, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (low, hard))
    try:
        listener.allow_many_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= min(10240, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert os.getpid()


def server(host: str, api_key: str | None) -> Server:
    return Server(
        host=host,
        port=0,
        allowed_hosts=(),
        cors_origins=(),
        api_key=api_key,
        max_body=1,
        client_timeout=30.0,
        signature_tolerance=300.0,
        keepalive_interval=5.0,
        keep_awake=True,
        log_level="info",
    )


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1"])
def test_loopback_needs_no_key(address: str, tmp_path: Path) -> None:
    access.require_key_beyond_loopback(server(address, None), address, tmp_path)


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.168.1.2", "10.0.0.1", "fe80::1%eth0"])
def test_all_other_addresses_need_one(address: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="mlxctl keys add"):
        access.require_key_beyond_loopback(server(address, None), address, tmp_path)
    access.require_key_beyond_loopback(server(address, "key"), address, tmp_path)
    Keys(tmp_path / FILE).add(KeyRequest(name="laptop"))
    access.require_key_beyond_loopback(server(address, None), address, tmp_path)
