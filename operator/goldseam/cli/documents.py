"""Objects in YAML as people and kustomize write it, with the lines on which their fields stand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TextIO

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from goldseam.api.base import GROUP
from goldseam.errors import Invalid
from goldseam.ports import Json

LARGEST = 8 * 2**20
"""Characters: no text may be longer."""
MOST_NODES = 200_000
"""Values in one document, with each alias counted as what it stands for."""


class NotYaml(Exception):
    """The text cannot be read as YAML from `line` on."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True)
class Document:
    """One object of our group."""

    node: MappingNode
    obj: Json

    @property
    def line(self) -> int:
        """On which line it begins."""
        return _line(self.node)

    def line_of(self, field: str) -> int:
        """The line of a field such as `spec.ladder[1].timeout`, or of as much of it as is there."""
        node, line = self.node, self.line
        for name, index in re.findall(r"([^.\[\]]+)|\[([^\]]*)\]", field):
            found = _child(node, name or index)
            if found is None:
                break
            node, line = found
        return line

    def written_twice(self) -> Iterator[tuple[str, int]]:
        """Fields that stand twice in one map, with the line of the second one."""
        yield from _twice(self.node, "")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """As the API server reads it: a time is a text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if not tag.endswith(":timestamp")]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def documents(text: str) -> Iterator[Document]:
    """The objects of our group in a text of any objects, also inside a `List`; all others are passed over.

    Raises:
        NotYaml: the text cannot be read from some line on.
    """
    try:
        loader = _Loader(text)
        while loader.check_node():
            yield from _of(loader, loader.get_node())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise NotYaml(mark.line + 1 if mark else 1, str(error.problem or error.context)[:200]) from error
    except yaml.YAMLError as error:
        raise NotYaml(1, str(error).splitlines()[0][:200]) from error
    except RecursionError as error:
        raise NotYaml(1, "it is nested too deeply") from error


def _of(loader: Any, node: Node) -> Iterator[Document]:
    if not isinstance(node, MappingNode):
        return
    group = _scalar(node, "apiVersion").partition("/")[0]
    items = _child(node, "items") if _scalar(node, "kind").endswith("List") else None
    if items is not None and isinstance(items[0], SequenceNode):
        for item in items[0].value:
            yield from _of(loader, item)
    elif group == GROUP:
        if _size(node, {}) > MOST_NODES:
            raise NotYaml(_line(node), f"the object has more than {MOST_NODES} values, with what its aliases stand for")
        yield Document(node, loader.construct_document(node))


def _scalar(node: MappingNode, key: str) -> str:
    found = _child(node, key)
    return str(found[0].value) if found and isinstance(found[0], ScalarNode) else ""


def _child(node: Node, key: str) -> tuple[Any, int] | None:
    """The value of a key, and the line of the key; of an item, its own."""
    if isinstance(node, SequenceNode) and key.isdigit() and int(key) < len(node.value):
        return node.value[int(key)], _line(node.value[int(key)])
    pairs = node.value if isinstance(node, MappingNode) else []
    return next(((value, _line(name)) for name, value in reversed(pairs) if str(name.value) == key), None)


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1


def _size(node: Node, known: dict[int, int]) -> int:
    """How many values there are when each alias is written out; a loop has no end."""
    if id(node) not in known:
        known[id(node)] = MOST_NODES + 1  # while it is being counted: it holds itself
        parts = [part for pair in node.value for part in pair] if isinstance(node, MappingNode) else node.value
        inner = parts if isinstance(node, MappingNode | SequenceNode) else []
        known[id(node)] = min(1 + sum(_size(part, known) for part in inner), MOST_NODES + 1)
    return known[id(node)]


def _twice(node: Node, path: str) -> Iterator[tuple[str, int]]:
    if isinstance(node, SequenceNode):
        for number, item in enumerate(node.value):
            yield from _twice(item, f"{path}[{number}]")
    elif isinstance(node, MappingNode):
        seen = set[str]()
        for name, value in node.value:
            field = f"{path}.{name.value}" if path else str(name.value)
            if str(name.value) in seen:
                yield field, _line(name)
            seen.add(str(name.value))
            yield from _twice(value, field)


def read(file: str, stdin: TextIO) -> str:
    """The text of a file, or for `-` of the standard input.

    Raises:
        Invalid: it cannot be read, is no text, or is too long.
    """
    try:
        if file == "-":
            text = stdin.read(LARGEST + 1)
        else:
            with open(file, encoding="utf-8") as opened:  # noqa: PTH123 - a name as people wrote it
                text = opened.read(LARGEST + 1)
    except OSError as error:
        raise Invalid(f"{file}: {(error.strerror or 'cannot be read').lower()}") from error
    except ValueError as error:
        raise Invalid(f"{file}: is not text in UTF-8") from error
    if len(text) > LARGEST:
        raise Invalid(f"{file}: has more than {LARGEST} characters")
    return text
