"""A report as one HTML file that stands alone: its tables render, its figures are inside.

MLflow shows it as an artifact, and it can be sent as it is; Markdown needs something that renders it, and its figures.
"""

from __future__ import annotations

import base64
import html
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 75rem; margin: 1.5rem auto; \
padding: 0 1rem; }}
table {{ border-collapse: collapse; display: block; overflow-x: auto; margin: 1rem 0; font-size: 13px; }}
th, td {{ padding: 0.2rem 0.6rem; border-bottom: 1px solid #ddd; white-space: nowrap; \
font-variant-numeric: tabular-nums; }}
th {{ border-bottom-color: #888; }}
img {{ max-width: 100%; }}
code {{ overflow-wrap: anywhere; }}
</style>
</head>
<body>
{body}</body>
</html>
"""


def page(markdown: str, folder: Path) -> str:
    """The page of a report.

    Args:
        markdown: the report; what looks like HTML in it is shown as text.
        folder: what the paths of its figures (PNG) are relative to.
    """
    renderer = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = renderer.parse(markdown)
    for token in tokens:
        _embed(token, folder)
    title = next((token.content for token in tokens if token.type == "inline"), "")
    return PAGE.format(title=html.escape(title), body=renderer.renderer.render(tokens, renderer.options, {}))


def _embed(token: Token, folder: Path) -> None:
    """Put the bytes of the images in ``token`` where their paths stand."""
    for child in token.children or ():
        if child.type == "image":
            content = base64.b64encode((folder / str(child.attrs["src"])).read_bytes()).decode()
            child.attrs["src"] = f"data:image/png;base64,{content}"
