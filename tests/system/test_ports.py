"""A port that cannot be served on is said before anything is loaded for it."""

from __future__ import annotations

import re
import socket

import pytest

from ofa.errors import UserError
from ofa.system.ports import require_free

HOST = "127.0.0.1"


def test_a_free_port_passes_and_is_free_afterwards() -> None:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    require_free(HOST, port)
    with socket.create_server((HOST, port)) as server:
        assert server.getsockname()[1] == port


def test_a_port_that_was_served_on_a_moment_ago_is_free() -> None:
    """The system keeps an ended connection for a minute, which hinders no server."""
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection((HOST, port)), server.accept()[0] as answered:
            answered.shutdown(socket.SHUT_RDWR)  # closed here first, so it is kept here
    require_free(HOST, port)
    with socket.create_server((HOST, port)) as server:
        assert server.getsockname()[1] == port


def test_a_busy_port_is_named_with_its_host() -> None:
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(UserError) as refused:
            require_free(HOST, port)
    words = f"--port: {port} cannot be used on 127.0.0.1 (Address already in use); allowed: a free port, 1 to 65535"
    assert str(refused.value) == words


@pytest.mark.parametrize("port", [-1, 0, 65536, 10**12])
def test_what_is_no_port_is_refused(port: int) -> None:
    with pytest.raises(UserError, match=rf"^--port: {port}; allowed: a free port, 1 to 65535$"):
        require_free(HOST, port)


@pytest.mark.parametrize("host", ["192.0.2.1", "a" * 70])
def test_a_host_that_is_not_this_machine_s_is_named(host: str) -> None:
    """An address of documentation, and what is too long for a name."""
    with pytest.raises(UserError, match=rf"^--port: 5001 cannot be used on {re.escape(host)} \(.+\); allowed: "):
        require_free(host, 5001)
