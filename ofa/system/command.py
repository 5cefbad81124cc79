"""What every command does besides its work: say a mistake in a line or two, and end quietly when nobody reads on."""

from __future__ import annotations

import functools
import os
import shutil
import sys
from collections.abc import Callable
from io import TextIOWrapper

from ofa.errors import UserError
from ofa.system.files import refusal

STOPPED = 130  # the exit status of what the user stopped
MISTAKES = (UserError, OSError)
SECONDS_IN_A_LOG = 30  # between two states of a progress bar


def as_command(
    main: Callable[[list[str]], int], mistakes: tuple[type[Exception], ...] = MISTAKES
) -> Callable[[list[str]], int]:
    """``main`` with no traceback for ``mistakes``, nor where it is stopped or nobody reads on: its exit status is 1,
    or 130 where it was stopped."""

    @functools.wraps(main)
    def answered(arguments: list[str]) -> int:
        for stream in (sys.stdout, sys.stderr):
            if (stream.encoding or "").lower().replace("-", "") != "utf8" and isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # a letter that the locale lacks ends nothing
        if not sys.stderr.isatty():  # a log keeps every state of a progress bar; tqdm reads this as it is imported
            os.environ.setdefault("TQDM_MININTERVAL", str(SECONDS_IN_A_LOG))
        bytes_alone = next((argument for argument in arguments if not is_text(argument)), None)
        if bytes_alone is not None:  # before they are half way into a log or a file
            print(f"{ascii(bytes_alone)}: not UTF-8; allowed: text in UTF-8, names of files included", file=sys.stderr)
            return 1
        try:
            status = main(arguments)
            sys.stdout.flush()
            return status
        except KeyboardInterrupt:
            return STOPPED
        except UnicodeEncodeError as error:
            lacks = f"the output is in {error.encoding}, which lacks {ascii(error.object[error.start])}"
            print(f"{lacks}; allowed: PYTHONIOENCODING=utf-8 in the environment", file=sys.stderr)
            return 1
        except BrokenPipeError:  # whoever reads the output has seen enough, as `head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except mistakes as error:
            print(refusal(error) if isinstance(error, OSError) else error, file=sys.stderr)
            return 1

    return answered


def terminal_width() -> int:
    """Places of a line where the output is a terminal; else there is no end to it."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize


def is_text(value: str) -> bool:
    """Whether ``value`` can be written: bytes that are no UTF-8 reach Python as halves of characters."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
