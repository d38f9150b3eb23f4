"""Write the user's first configuration: the defaults, explained, none of them set."""

import re

from mlxd.config.load import DEFAULTS

_HEADING = """\
# Configuration of mlxd. Each setting stands here with its default; take the # before one away to change it.
"""
_SECTION = re.compile(r"(\w+):(?: \[\])?$")
_SETTING = re.compile(r"( *)(\w+:.*)")


def text() -> str:
    """Return the file: that of the defaults with every setting commented out, so that a later default still counts."""
    explained = DEFAULTS.read_text(encoding="utf-8").partition("\n#\n")[2]
    return _HEADING + "#\n" + "\n".join(map(_as_example, explained.split("\n")))


def _as_example(line: str) -> str:
    if section := _SECTION.fullmatch(line):
        return f"{section[1]}:"
    if setting := _SETTING.fullmatch(line):
        return f"{setting[1]}#{setting[2]}"
    return line
