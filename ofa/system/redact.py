"""Text without the credentials of the addresses in it, and addresses that can be taken apart in one way only."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

# Up to the last @ of the line, since a password may hold anything, / and spaces and @ included. After :/// comes the
# path of a local file, which has no user.
_USER = re.compile(r"(?<=://)(?!/)[^\n]*@")
_QUERY = re.compile(r"(://[^\s?]*)\?\S*")  # drivers take passwords there as well
UNCLEAR = "this address cannot be taken apart (not shown, as it may hold a password)"
QUOTING = "in a user name or password write @ as %40, / as %2F, ? as %3F, # as %23, % as %25"


def without_secrets(text: str) -> str:
    """``text`` with every address in it stripped of user name, password and query.

    Of a line with an address, rather too much is left out than too little.
    """
    return _QUERY.sub(r"\1", _USER.sub("", text))


def web_place(uri: str) -> tuple[Any, ...]:
    """Host, port and what follows, as urllib and requests read them.

    Raises:
        ValueError: if they cannot.
    """
    parts = urlsplit(uri)
    return parts.hostname, parts.port, parts.path, parts.query, parts.fragment


def is_clear(uri: str, place: Callable[[str], tuple[Any, ...]] = web_place) -> bool:
    """Whether the library that will connect, which reads a ``place``, finds the user where ``without_secrets`` does."""
    scheme, _, rest = uri.partition("://")
    public = f"{scheme}://{rest.rpartition('@')[2]}"
    try:
        host, *others = place(uri)
        return bool(host) and (host, *others) == place(public) and not re.search(r"\s", public) and uri.isprintable()
    except ValueError:
        return False
