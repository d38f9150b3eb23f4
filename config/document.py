"""Read a YAML file into plain values and remember on which line each key stands.

A scalar is a number or a boolean only where YAML 1.1 and 1.2 agree: no, 1:30, 010 and 2024-01-01 are text. A tag never
makes an object.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from mlxd.protocol.errors import ConfigError

Key = str | int
KeyPath = tuple[Key, ...]

_Loader: type[yaml.SafeLoader] | type[yaml.CSafeLoader] = getattr(
    yaml, "CSafeLoader", yaml.SafeLoader
)
_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,300})")
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+][0-9]+)?")
_DEEPEST = 50
_QUOTED = ("'", '"', "|", ">")
_WORDS = {word: None for word in ("", "~", "null", "Null", "NULL")} | {
    word: value
    for value in (True, False)
    for word in (str(value), str(value).lower(), str(value).upper())
}
_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = {
    _TAG + kind for kind in ("str", "int", "float", "bool", "null", "timestamp", "merge", "value")
}


@dataclass(frozen=True)
class Document:
    """Hold a file's values and where they came from."""

    name: str
    value: object
    _root: yaml.Node | None

    def line(self, path: KeyPath) -> int:
        """Return the line of the key at `path`, or of the nearest key above it that the file has."""
        node, line = self._root, 1
        for key in path:
            found = _child(node, key)
            if found is None:
                break
            node, line = found
        return line

    def error(self, path: KeyPath, message: str) -> ConfigError:
        """Return an error that names file, line, key and what was expected."""
        where = f"{show(path)}: " if path else ""
        return ConfigError(f"{self.name}:{self.line(path)}: {where}{message}", field=show(path))


def show(path: KeyPath) -> str:
    """Write a path as people do: `models[0].idle_timeout`."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return text.removeprefix(".")


def read(file: Path) -> Document:
    """Return the file's document; raises ConfigError where it cannot be read or is not plain YAML."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: not UTF-8 text: byte {error.start}") from None
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from None
    return parse(text, str(file))


def parse(text: str, name: str) -> Document:
    """Return the document of a text; raises ConfigError naming `name` and the line."""
    try:
        _check_depth(text, name)
        root: yaml.Node | None = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        # The parser counts the end of the text as a line of its own.
        line = min(mark.line + 1 if mark else 1, len(text.splitlines()) or 1)
        raise ConfigError(f"{name}:{line}: not valid YAML: {error.problem}") from None
    except yaml.YAMLError as error:  # a character YAML forbids
        raise ConfigError(f"{name}: not valid YAML: {error}") from None
    return Document(name, _Reader(name).plain(root, ()), root)


def _check_depth(text: str, name: str) -> None:
    """Raise before composing would exhaust the stack: libyaml's does so without an exception."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise ConfigError(f"{name}:{line}: nested too deeply")


class _Reader:
    """Turn nodes into values; a node reached twice through an alias is read once."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._done: dict[int, object] = {}
        self._open: set[int] = set()

    def plain(self, node: yaml.Node | None, path: KeyPath) -> object:
        if node is None:
            return None
        if id(node) in self._done:
            return self._done[id(node)]
        if id(node) in self._open:
            raise self._error(node, path, "holds itself through an alias")
        self._open.add(id(node))
        value = self._read(node, path)
        self._open.discard(id(node))
        self._done[id(node)] = value
        return value

    def _read(self, node: yaml.Node, path: KeyPath) -> object:
        if isinstance(node, yaml.ScalarNode) and node.tag in _PLAIN_TAGS:
            return _scalar(node)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return [self.plain(item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return self._mapping(node, path)
        raise self._error(node, path, f"the tag {node.tag} is not allowed")

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, object]:
        values: dict[str, object] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._error(key_node, path, "expected a name before the colon")
            key = str(key_node.value)
            if key in values:
                message = f"appears twice, first on line {lines[key]}"
                raise self._error(key_node, (*path, key), message)
            lines[key] = key_node.start_mark.line + 1
            values[key] = self.plain(value_node, (*path, key))
        return values

    def _error(self, node: yaml.Node, path: KeyPath, message: str) -> ConfigError:
        where = f"{show(path)}: " if path else ""
        line = node.start_mark.line + 1
        return ConfigError(f"{self._name}:{line}: {where}{message}", field=show(path))


def _scalar(node: yaml.ScalarNode) -> object:
    text = str(node.value)
    looks_otherwise = text in _WORDS or _INT.fullmatch(text) or _FLOAT.fullmatch(text)
    # Only a tag that was written makes text of these.
    if node.style in _QUOTED or (node.tag == _TAG + "str" and looks_otherwise):
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _child(node: yaml.Node | None, key: Key) -> tuple[yaml.Node, int] | None:
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            if key_node.value == key:
                return value_node, key_node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        item = node.value[key]
        return item, item.start_mark.line + 1
    return None
