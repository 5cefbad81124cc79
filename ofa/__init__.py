"""A finetuned BERT as a family of smaller, faster ones.

From Python: ``ofa.run(...)``, ``ofa.Run(folder)`` and ``ofa.load(folder)``; see ``ofa/api.py``. They are loaded when
they are first used, so that importing ``ofa`` stays light.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Classifier", "Recommended", "Run", "UserError", "load", "run"]

if TYPE_CHECKING:
    from ofa.api import Classifier, Recommended, Run, load, run
    from ofa.errors import UserError


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'ofa' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module("ofa.errors" if name == "UserError" else "ofa.api"), name)
