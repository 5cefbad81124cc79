"""Text without the credentials of the addresses in it."""

from __future__ import annotations

import re

# Up to the last @ of the line, since a password may hold anything, / and spaces and @ included. After :/// comes the
# path of a local file, which has no user.
_USER = re.compile(r"(?<=://)(?!/)[^\n]*@")
_QUERY = re.compile(r"(://[^\s?]*)\?\S*")  # drivers take passwords there as well


def without_secrets(text: str) -> str:
    """``text`` with every address in it stripped of user name, password and query.

    Of a line with an address, rather too much is left out than too little.
    """
    return _QUERY.sub(r"\1", _USER.sub("", text))
