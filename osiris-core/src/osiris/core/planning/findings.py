"""What planning has to complain about, and how it says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osiris.core.errors import OsirisError, PlanError, PluginError, Problem
from osiris.core.manifest.model import Manifest
from osiris.core.manifest.references import has_param
from osiris.core.manifest.report import in_order

__all__ = ["Findings"]

Path = tuple[str | int, ...]


class Findings:
    """Everything found in one manifest.

    Attributes:
        problems: Mistakes that stop the run.
        warnings: What does not.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self._plugin_errors: dict[Problem, PluginError] = {}

    def note(self, code: str, message: str, path: Path, hint: str, *, at_key: bool = False) -> None:
        """A mistake at ``path`` of the manifest; none where the value is a parameter's that is not known."""
        if not at_key and self._is_unknown(path):
            return
        self.problems.append(self.manifest.problem(code, message, path, hint, at_key=at_key))

    def blame(self, error: OsirisError, path: Path) -> None:
        """Something that ``path`` asked for and that failed: its code, message and hint."""
        if self._is_unknown(path):
            return
        problem = self.manifest.problem(error.code, error.message, path, error.hint)
        self.problems.append(problem)
        if isinstance(error, PluginError):
            self._plugin_errors[problem] = error

    def add(self, problem: Problem) -> None:
        """A problem from elsewhere, by its severity."""
        (self.warnings if problem.severity == "warning" else self.problems).append(problem)

    def _is_unknown(self, path: Path) -> bool:
        value: Any = self.manifest
        for part in path:
            if isinstance(value, Mapping) and part in value:
                value = value[str(part)]
            elif isinstance(value, list | tuple) and isinstance(part, int) and part < len(value):
                value = value[part]
            else:
                return False
        return isinstance(value, str) and has_param(value)

    def stop_if_wrong(self) -> None:
        """Raise where there is a mistake.

        Raises:
            PlanError: With all of them.
            PluginError: All of them are plugins that are missing or broken: what could be installed is not a mistake
                in the pipeline. The first error, with all problems in ``facts["problems"]``.
        """
        if not self.problems:
            return
        problems = in_order(self.problems)
        first = next((self._plugin_errors[problem] for problem in problems if problem in self._plugin_errors), None)
        others = [problem for problem in problems if problem not in self._plugin_errors]
        if first is None or any(problem.code != "plan.not_installed" for problem in others):
            raise PlanError(problems=problems)
        first.facts["problems"] = [problem.to_dict() for problem in problems]
        raise first
