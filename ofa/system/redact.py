"""Addresses without the credentials in them."""

from __future__ import annotations

import re

_USER = re.compile(r"(?<=://)[^/\s'\"]*@")  # user name and password of an address, wherever it stands
_QUERY = re.compile(r"(://[^\s'\"?]*)\?[^\s'\"]*")  # drivers take passwords there as well


def without_secrets(text: str) -> str:
    """``text`` with every address in it stripped of user name, password and query."""
    return _QUERY.sub(r"\1", _USER.sub("", text))
