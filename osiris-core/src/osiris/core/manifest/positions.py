"""YAML text to plain data, and where each part of it stands.

Scalars follow the core schema of YAML 1.2, not the 1.1 of PyYAML: ``on``, ``off``, ``yes`` and ``no`` are text, so
are dates, ``1:30`` and numbers with leading zeros (``007``); only ``true`` and ``false`` are booleans. Keys are
always text, as written. What could surprise is refused: duplicate keys, tags, ``.nan``, aliases without end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple, NoReturn

import yaml

from osiris.core.errors import ManifestError, Problem
from osiris.core.manifest.paths import format_path
from osiris.core.manifest.scalars import resolve_plain
from osiris.core.manifest.syntax import refuse_control_characters, syntax_error

__all__ = ["MAX_DEPTH", "MAX_NODES", "Document", "Place", "compose", "locate"]

MAX_DEPTH = 100
MAX_NODES = 1_000_000  # with every alias written out

Place = tuple[Any, ...]
"""``(line, column)`` of a scalar, ``(line, column, children)`` of a collection; both counted from 1.

The children of a list are places; those of a mapping ``(key line, key column, place of the value)`` by key.
"""


_OLDER_WORDS: dict[str | int, str] = {"driver": "component", "inputs": "needs"}  # where OML says the same


class Document(NamedTuple):
    """One YAML document: plain data, its places, and the mistakes that did not stop the reading."""

    value: Any
    place: Place | None
    problems: list[Problem]


def compose(text: str, file: str | None = None) -> Document:
    """Read ``text`` as one YAML document; ``value`` is None for an empty one.

    Raises:
        ManifestError: It is not YAML, is nested too deeply, or expands to more than :data:`MAX_NODES` nodes.
    """
    return _Composer(text, file).document()


def locate(place: Place | None, path: tuple[str | int, ...], *, at_key: bool = False) -> tuple[int, int] | None:
    """Line and column of ``path``, or of its nearest ancestor that is in the text."""
    if place is None:
        return None
    found: tuple[int, int] = place[0], place[1]
    for part in path:
        children = place[2] if len(place) > 2 else None
        if isinstance(children, dict) and part not in children:
            part = _OLDER_WORDS.get(part, part)
        if isinstance(children, dict) and part in children:
            key_line, key_column, place = children[part]
            found = (key_line, key_column) if at_key else (place[0], place[1])
        elif isinstance(children, list) and isinstance(part, int) and part < len(children):
            place = children[part]
            found = place[0], place[1]
        else:
            break
    return found


class _Collection:
    """A mapping or list that is being read."""

    __slots__ = ("anchor", "children", "column", "first_node", "height", "key", "line", "merged", "value")

    def __init__(self, value: Any, children: Any, line: int, column: int, anchor: str | None, first_node: int) -> None:
        self.value = value
        self.children = children
        self.line = line
        self.column = column
        self.anchor = anchor
        self.first_node = first_node
        self.height = 1
        self.key: tuple[str, int, int] | None = None
        self.merged: list[tuple[dict[str, Any], dict[str, Any]]] = []


class _Anchored(NamedTuple):
    value: Any
    place: Place
    nodes: int
    height: int


_MERGE = "<<"


class _Composer:
    def __init__(self, text: str, file: str | None) -> None:
        self.text = text
        self.file = file
        self.problems: list[Problem] = []
        self.nodes = 0
        self.stack: list[_Collection] = []
        self.anchors: dict[str, _Anchored | None] = {}
        self.root: tuple[Any, Place | None] = (None, None)

    def document(self) -> Document:
        refuse_control_characters(self.text, self.file)
        documents = 0
        for event in self.events():
            kind = type(event)
            if kind is yaml.ScalarEvent:
                self.scalar(event)
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                self.start(event)
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self.end()
            elif kind is yaml.AliasEvent:
                self.alias(event)
            elif kind is yaml.DocumentStartEvent:
                documents += 1
                if documents > 1:
                    self.stop(event, "manifest.yaml", "a second document begins here", "one file holds one pipeline")
        return Document(*self.root, self.problems)

    def events(self) -> Iterator[Any]:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(self.text)
        try:
            while (event := loader.get_event()) is not None:
                yield event
        except yaml.MarkedYAMLError as error:
            raise syntax_error(error, self.text, self.file) from None
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            # The pure Python parser lets chr() and int() speak for themselves.
            problem = Problem(code="manifest.yaml", message=f"not valid YAML: {error}", file=self.file)
            raise ManifestError(problems=[problem]) from None
        finally:
            loader.dispose()

    def scalar(self, event: Any) -> None:
        line, column = _mark(event)
        frame = self.stack[-1] if self.stack else None
        if frame is not None and frame.key is None and isinstance(frame.value, dict):
            frame.key = (event.value, line, column)
            return
        value: Any = event.value
        if event.tag is not None or event.implicit[0]:
            value = self.resolve(event)
        self.nodes += 1
        if event.anchor is not None:
            self.anchors[event.anchor] = _Anchored(value, (line, column), 1, 0)
        self.attach(value, (line, column), 0)

    def resolve(self, event: Any) -> Any:
        text: str = event.value
        tag = event.tag
        if tag == "!" or tag == f"{_CORE}str":
            return text
        try:
            value = resolve_plain(text)
        except ValueError as error:
            hint = "write it in quotes if it is a text"
            self.note_here(event, "manifest.number", f"{_short(text)} {error}", hint)
            return text
        if tag is None:
            return value
        wanted = _TAGGED.get(tag)
        if wanted is None:
            self.note_here(event, "manifest.tag", f"the tag {tag} is not understood", "remove it")
        elif type(value) not in wanted:
            self.note_here(
                event, "manifest.tag", f"{_short(text)} is not a {tag.removeprefix(_CORE)}", "remove the tag"
            )
        return value

    def start(self, event: Any) -> None:
        line, column = _mark(event)
        self.refuse_as_key(event)
        is_mapping = type(event) is yaml.MappingStartEvent
        if event.tag not in (None, "!", f"{_CORE}map" if is_mapping else f"{_CORE}seq"):
            self.note(event, "manifest.tag", f"the tag {event.tag} is not understood", "remove it")
        if len(self.stack) >= MAX_DEPTH:
            self.stop(event, "manifest.too_deep", f"nested more than {MAX_DEPTH} levels deep", _TOO_MUCH)
        collection: Any = {} if is_mapping else []
        children: Any = {} if is_mapping else []
        self.nodes += 1
        self.stack.append(_Collection(collection, children, line, column, event.anchor, self.nodes))
        if event.anchor is not None:
            self.anchors[event.anchor] = None  # open: an alias to it now would contain itself

    def end(self) -> None:
        frame = self.stack.pop()
        for value, children in frame.merged:
            for key in value.keys() - frame.value.keys():
                frame.value[key] = value[key]
                frame.children[key] = children[key]
        place = (frame.line, frame.column, frame.children)
        if frame.anchor is not None:
            nodes = self.nodes - frame.first_node + 1
            self.anchors[frame.anchor] = _Anchored(frame.value, place, nodes, frame.height)
        self.attach(frame.value, place, frame.height)

    def alias(self, event: Any) -> None:
        name = event.anchor
        if name not in self.anchors:
            self.stop(event, "manifest.yaml", f"*{name} stands for nothing: there is no &{name} before it", _ALIASES)
        anchored = self.anchors[name]
        if anchored is None:
            self.stop(event, "manifest.alias", f"*{name} is used inside its own &{name}", "write its value out")
        self.nodes += anchored.nodes
        if self.nodes > MAX_NODES:
            message = f"written out, the aliases up to *{name} would be more than {MAX_NODES:,} values"
            self.stop(event, "manifest.too_many_values", message, "use fewer aliases")
        if len(self.stack) + anchored.height > MAX_DEPTH:
            message = f"with *{name}, nested more than {MAX_DEPTH} levels deep"
            self.stop(event, "manifest.too_deep", message, _TOO_MUCH)
        self.refuse_as_key(event)
        self.attach(anchored.value, anchored.place, anchored.height)

    def attach(self, value: Any, place: Place, height: int) -> None:
        if self.nodes > MAX_NODES:
            problem = Problem(
                code="manifest.too_many_values",
                message=f"more than {MAX_NODES:,} values",
                hint=_TOO_MUCH,
                file=self.file,
                line=place[0],
                column=place[1],
            )
            raise ManifestError(problems=[problem])
        if not self.stack:
            self.root = (value, place)
            return
        frame = self.stack[-1]
        if height >= frame.height:
            frame.height = height + 1
        if frame.key is None:
            frame.value.append(value)
            frame.children.append(place)
            return
        key, line, column = frame.key
        frame.key = None
        if key == _MERGE:
            self.merge(frame, value, place, line, column)
        elif key in frame.value:
            first = frame.children[key][0]
            message = f"key {_short(key)} is already set in line {first}"
            self.note_at(line, column, "manifest.duplicate_key", message, "keep one of the two")
        else:
            frame.value[key] = value
            frame.children[key] = (line, column, place)

    def merge(self, frame: _Collection, value: Any, place: Place, line: int, column: int) -> None:
        sources = zip(value, place[2], strict=True) if isinstance(value, list) else [(value, place)]
        for source, source_place in sources:
            if isinstance(source, dict):
                frame.merged.append((source, source_place[2]))
            else:
                self.note_at(line, column, "manifest.yaml", "<< takes a mapping, or a list of mappings", "as <<: *name")

    def refuse_as_key(self, event: Any) -> None:
        frame = self.stack[-1] if self.stack else None
        if frame is not None and frame.key is None and isinstance(frame.value, dict):
            self.stop(event, "manifest.yaml", "a key must be a text", "write references and braces in quotes")

    def note(self, event: Any, code: str, message: str, hint: str) -> None:
        self.note_at(*_mark(event), code, message, hint)

    def note_here(self, event: Any, code: str, message: str, hint: str) -> None:
        """A mistake in the scalar that is being read, with its path, so that nobody judges the value a second time."""
        self.note(event, code, message, hint)
        path = [len(frame.value) if frame.key is None else frame.key[0] for frame in self.stack]
        self.problems[-1] = replace(self.problems[-1], path=format_path(path))

    def note_at(self, line: int, column: int, code: str, message: str, hint: str) -> None:
        self.problems.append(Problem(code=code, message=message, hint=hint, file=self.file, line=line, column=column))

    def stop(self, event: Any, code: str, message: str, hint: str) -> NoReturn:
        self.note(event, code, message, hint)
        raise ManifestError(problems=self.problems)


_CORE = "tag:yaml.org,2002:"
_TOO_MUCH = "is this a pipeline? Large data belongs into a file that a step reads"
_ALIASES = 'put what begins with * into quotes if it is a text, as "*.csv"'
_TAGGED: dict[str, tuple[type, ...]] = {
    f"{_CORE}int": (int,),
    f"{_CORE}float": (int, float),
    f"{_CORE}bool": (bool,),
    f"{_CORE}null": (type(None),),
}


def _mark(event: Any) -> tuple[int, int]:
    mark = event.start_mark
    return mark.line + 1, mark.column + 1


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:37]}...")
