"""The manifest: a pipeline as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from osiris.core.errors import Problem
from osiris.core.manifest.params import Params
from osiris.core.manifest.report import Report
from osiris.core.quick_dataclass import dataclass

__all__ = ["Manifest", "Origin"]


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What a manifest was made from.

    Attributes:
        document: The manifest as it stands in a file: before parameters were filled in and defaults merged; of the
            older dialect, what it was translated to. Not to be changed.
        params: The values of parameters, and where each comes from.
        sha256: Of the text it was read from, in hex; None for data made in code.
        oml: Whether that was written in the older dialect.
        base_dir: What the file says of where relative paths begin.
    """

    document: Mapping[str, Any]
    params: Params
    sha256: str | None = None
    oml: bool = False
    base_dir: str | None = None


class Manifest(Mapping[str, Any]):
    """A pipeline that is well-formed, with parameters filled in and defaults merged. Read-only by agreement.

    As a mapping it has ``version``, ``name``, ``description`` and ``requires`` (where given), ``params``,
    ``defaults`` and ``steps``. Each step has ``id``, ``driver``, ``config``, ``inputs`` and ``needs``. References
    (``${step.df}``, ``${PASSWORD}``) and the escape ``$${`` stay as written, so that :meth:`to_dict` read again
    gives the same manifest.

    Attributes:
        file: The file it was read from; None for text and for data made in code.
        origin: What it was made from.
    """

    def __init__(
        self, data: Mapping[str, Any], *, origin: Origin, file: Path | None = None, report: Report | None = None
    ) -> None:
        self._data = dict(data)
        self._report = Report()
        if report is not None:
            self._report.file, self._report.place, self._report.moved = report.file, report.place, report.moved
        self.file = file
        self.origin = origin

    @property
    def oml(self) -> bool:
        """Whether it was written in the older dialect, whose relative paths begin in the current folder."""
        return self.origin.oml

    @property
    def base_dir(self) -> str | None:
        """The folder, seen from the file's, in which relative paths begin; None: where it says nothing."""
        return self.origin.base_dir

    @property
    def version(self) -> str:
        """Always in three parts, as ``1.0.0``."""
        return str(self._data["version"])

    @property
    def name(self) -> str:
        """The pipeline's name; that of the file where it has none of its own."""
        return str(self._data["name"])

    @property
    def description(self) -> str | None:
        """What the pipeline is for, if it says so."""
        return self._data.get("description")

    @property
    def params(self) -> dict[str, Any]:
        """The resolved value of every parameter."""
        return dict(self._data["params"])

    @property
    def param_sources(self) -> dict[str, str]:
        """Where each value comes from: ``command line``, ``OSIRIS_PARAM_X``, ``profile x``, ``default``."""
        return dict(self.origin.params.sources)

    @property
    def defaults(self) -> dict[str, Any]:
        """Options that were merged into every step."""
        return dict(self._data["defaults"])

    @property
    def requires(self) -> tuple[str, ...]:
        """Distributions that must be installed, as ``osiris-driver-mysql>=1``."""
        return tuple(self._data["requires"])

    @property
    def steps(self) -> tuple[dict[str, Any], ...]:
        """The steps in the order of the file."""
        return tuple(self._data["steps"])

    def checkpointed(self) -> Manifest:
        """The same pipeline, with ``checkpoint: true`` in every step that does not say otherwise."""
        steps = [{"checkpoint": True, **step} for step in self.steps]
        return Manifest({**self._data, "steps": steps}, origin=self.origin, file=self.file, report=self._report)

    def to_dict(self) -> dict[str, Any]:
        """A copy as plain dicts and lists, ready for JSON; the same manifest always gives the same text."""
        copied: dict[str, Any] = _copy(self._data)
        return copied

    def position(self, path: tuple[str | int, ...], *, at_key: bool = False) -> tuple[int, int] | None:
        """Line and column, from 1, of ``path`` or its nearest known ancestor; None where there is no text.

        Args:
            path: As ``("steps", 2, "config", "limit")``.
            at_key: Of the key itself instead of its value.
        """
        problem = self._report.problem("", "", path, at_key=at_key)
        return None if problem.line is None or problem.column is None else (problem.line, problem.column)

    def problem(
        self, code: str, message: str, path: tuple[str | int, ...], hint: str | None = None, *, at_key: bool = False
    ) -> Problem:
        """A mistake at ``path``, with file, line and column filled in."""
        return self._report.problem(code, message, path, hint, at_key=at_key)

    def __getitem__(self, key: str) -> Any:
        return self._data[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def __repr__(self) -> str:
        return f"<Manifest {self.name!r}, {len(self._data['steps'])} steps>"


def _copy(value: Any) -> Any:
    # copy.deepcopy keeps a memo of every value, which takes several times as long.
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value
