"""The pages in both languages say the same, as far as a machine can tell; what they show works when it is pasted."""

import re
from pathlib import Path

import pytest
from helpers.toys import REPO

PAGES = [("README.md", "README.zh-CN.md")]
PAGES += [
    (f"docs/en/{path.name}", f"docs/zh/{path.name}")
    for path in sorted((REPO / "docs" / "en").glob("*.md"))
    if path.name != "reference.md"  # of the settings: generated, in English only
]
WRITTEN = [name for pair in PAGES for name in pair] + ["CONTRIBUTING.md", "docs/index.md"]
# Messages of others that the pages explain; all else in their first column are words of this project.
OF_OTHERS = ("no matches found",)


def shell(text: str) -> list[str]:
    """The lines of a page's shell blocks, without comments; a line that goes on is one with the next."""
    blocks = re.findall(r"^```bash\n(.*?)^```", text, re.S | re.M)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    commands = [re.sub(r"(^|\s+)#.*", "", line).strip() for line in lines]
    return [command for command in commands if command]


def parts(name: str) -> dict[str, list]:
    """What does not depend on the language."""
    text = (REPO / name).read_text()
    prose = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
    return {
        "sections": [len(marks) for marks in re.findall(r"^(#+) ", prose, re.M)],
        "commands": shell(text),
        "rows of tables": [line.count("|") for line in prose.splitlines() if line.startswith("|")],
        "figures": re.findall(r"\.\d{4,6}", prose),
        "names": sorted(set(re.findall(r"`([^`\n]+)`", prose))),
    }


@pytest.mark.parametrize(("english", "chinese"), PAGES)
def test_the_chinese_page_is_kept_equal(english: str, chinese: str) -> None:
    found = parts(english)
    assert found["sections"]
    for what, of_chinese in parts(chinese).items():
        assert of_chinese == found[what], what


def test_the_readme_shows_commands() -> None:
    assert len(shell((REPO / "README.md").read_text())) >= 10


@pytest.mark.parametrize("name", WRITTEN)
def test_brackets_are_quoted_in_the_shell(name: str) -> None:
    """zsh takes an unquoted ``a=[1,2]`` for a pattern of files and stops."""
    for command in shell((REPO / name).read_text()):
        assert not re.search(r"[\[\]*]", re.sub(r"'[^']*'|\"[^\"]*\"", "", command)), command


@pytest.mark.parametrize("name", WRITTEN)
def test_links_lead_to_files(name: str) -> None:
    text = re.sub(r"^```.*?^```|`[^`\n]+`", "", (REPO / name).read_text(), flags=re.S | re.M)
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert "://" in link or (REPO / Path(name).parent / link).exists(), link


def test_troubleshooting_quotes_messages_that_there_are() -> None:
    sources = " ".join(path.read_text() for path in (REPO / "ofa").rglob("*.py"))
    said = re.sub(r'"\s*\n\s*f?"', "", sources)  # a message over several lines of source is one
    quoted = re.findall(r"^\| `([^`]+)`", (REPO / "docs/en/troubleshooting.md").read_text(), re.M)
    assert len(quoted) > 8
    assert not [words for words in quoted if words not in said and not words.startswith(OF_OTHERS)]
