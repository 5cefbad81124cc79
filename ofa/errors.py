"""The exceptions that are no defect of the program."""

from __future__ import annotations


class UserError(Exception):
    """A mistake in the configuration, the data or a checkpoint.

    Its message is one or two lines that name the key or ``file:line``, the value found and what is
    allowed. ``main.py`` prints the message without a traceback (with one when ``debug=true``).
    """


class Interrupted(Exception):
    """The user asked a training loop to stop; a checkpoint was saved."""


class Diverged(UserError):
    """A network answers with what is no number: the steps of its training were too large."""
