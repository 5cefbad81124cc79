"""The two READMEs say the same, as far as a machine can tell: sections, commands, tables."""

import re

from helpers.toys import REPO


def parts(name: str) -> dict[str, list]:
    """What does not depend on the language."""
    text = (REPO / name).read_text()
    blocks = re.findall(r"^```bash\n(.*?)^```", text, re.S | re.M)
    commands = [re.sub(r"\s*#.*", "", line).strip() for block in blocks for line in block.splitlines()]
    prose = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
    return {
        "sections": [len(marks) for marks in re.findall(r"^(#+) ", prose, re.M)],
        "commands": [command for command in commands if command],
        "rows of tables": [line.count("|") for line in prose.splitlines() if line.startswith("|")],
        "figures": re.findall(r"\.\d{4,6}", prose),
        "names": sorted(set(re.findall(r"`([^`\n]+)`", prose))),
    }


def test_the_chinese_readme_is_kept_equal():
    english, chinese = parts("README.md"), parts("README.zh-CN.md")
    assert len(english["commands"]) > 10 and len(english["names"]) > 50
    for what, found in english.items():
        assert chinese[what] == found, what
