"""Whether a server can be put on a port of this machine, asked before anything is loaded for it."""

from __future__ import annotations

import socket

from ofa.errors import UserError


def require_free(host: str, port: int) -> None:
    """Raises UserError, in the words of a command's ``--port``, if nothing can listen on ``port`` of ``host``."""
    allowed = "allowed: a free port, 1 to 65535"
    if not 0 < port < 2**16:
        raise UserError(f"--port: {port}; {allowed}")
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: an ended one is no hindrance
            probe.bind(address)
    except (OSError, UnicodeError) as error:  # UnicodeError: what cannot be the name of a host
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"--port: {port} cannot be used on {host} ({reason}); {allowed}") from None
