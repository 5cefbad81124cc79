"""Letters of pictures: names that users choose may be Chinese, which Matplotlib's own font does not have."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

# Fonts with Chinese letters, as the names that Matplotlib knows them by: of a .ttc, the first one in it.
CHINESE = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Droid Sans Fallback",
    "Microsoft YaHei",
    "SimHei",
    "PingFang SC",
    "PingFang HK",
    "Arial Unicode MS",
)
LETTERS_PER_INCH = 11  # of a title


@contextmanager
def lettering() -> Iterator[None]:
    """Draw with a font for Chinese letters besides Matplotlib's own, if there is one; without one they are boxes.

    Also a decorator of what draws.
    """
    import matplotlib
    from matplotlib.font_manager import get_font_names

    here = set(get_font_names())
    families = [*matplotlib.rcParams["font.family"], *(name for name in CHINESE if name in here)]
    with matplotlib.rc_context({"font.family": families}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        yield


def title(parts: list[str], inches: float) -> str:
    """``parts`` as a line, or as several where they do not fit into a picture so wide."""
    return textwrap.fill("; ".join(filter(None, parts)), round(LETTERS_PER_INCH * inches))
