"""Python's syntax trees, and what is read by way of them, from several threads at once.

CPython (3.11 and 3.12 at least) counts the depth of the trees that it makes for all threads together: where two make
one at the same time, a SystemError may come of it ("AST constructor recursion depth mismatch",
python/cpython#106905). Runs of a pipeline begin in threads, so that what reads trees does it here, one at a time.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ast

    from packaging.requirements import Requirement

__all__ = ["parse_python", "read_requirement"]

_one_at_a_time = threading.Lock()


def parse_python(source: bytes) -> ast.Module:
    """The syntax tree of a file.

    Raises:
        SyntaxError: It is not Python.
        ValueError: It has null bytes.
    """
    import ast

    with _one_at_a_time:
        return ast.parse(source)


def read_requirement(text: str) -> Requirement | None:
    """The requirement that a text states, as pip takes it; None where it is none."""
    from packaging.requirements import InvalidRequirement, Requirement  # costs more than what most runs do with it

    with _one_at_a_time:  # packaging reads the quoted values of markers with ast.literal_eval
        try:
            return Requirement(text)
        except InvalidRequirement:
            return None
