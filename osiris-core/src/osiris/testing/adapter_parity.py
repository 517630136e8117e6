"""Rules of parity: a pipeline of the corpus tells and leaves what the reference says."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import pytest

from osiris.testing.contract import Contract
from osiris.testing.parity import Observation, differences, portable
from osiris.testing.reference import load_reference, pipelines

__all__ = ["AdapterParityContract"]

Observed = Callable[[str], Observation]
PIPELINES = pytest.mark.parametrize("pipeline", pipelines(), scope="class")  # so that the rules on one stand together
_RESULT = ("status", "error", "steps_completed", "steps_total", "total_rows", "steps", "outputs", "artifacts")


class AdapterParityContract(Contract):
    """The corpus, pipeline by pipeline, against the references that osiris-core ships."""

    @PIPELINES
    def test_events_are_those_of_the_reference(
        self, observed: Observed, pipeline: str, extra_events: Collection[str]
    ) -> None:
        """A pipeline tells the same events in the same order as everywhere, the adapter's own aside.

        Run the steps with ``osiris.core.engine.run``, or elsewhere with its worker (``osiris.core.remote``), and pass
        on every event. Name events of your own in the fixture ``extra_events``.
        """
        _compare(observed(pipeline), pipeline, ("events",), extra_events)

    @PIPELINES
    def test_metrics_are_those_of_the_reference(self, observed: Observed, pipeline: str) -> None:
        """The steps of a pipeline tell the same metrics, units and counts as everywhere.

        Pass on every metric as it comes, with its unit and tags; tell your own without a ``step_id``.
        """
        _compare(observed(pipeline), pipeline, ("metrics",))

    @PIPELINES
    def test_result_is_that_of_the_reference(self, observed: Observed, pipeline: str) -> None:
        """A pipeline ends with the same status, error, counts, outputs and artifacts as everywhere.

        Give what ``osiris.core.engine.collect`` gives; paths in it are those of this machine.
        """
        _compare(observed(pipeline), pipeline, _RESULT)

    @PIPELINES
    def test_files_are_those_of_the_reference(self, observed: Observed, pipeline: str) -> None:
        """A pipeline leaves the same files with the same content as everywhere, in the project and among artifacts.

        Where steps run on another machine, bring home in collect what they wrote, byte for byte, and nothing else.
        """
        _compare(observed(pipeline), pipeline, ("files",))


def _compare(seen: Observation, pipeline: str, parts: Collection[str], extra_events: Collection[str] = ()) -> None:
    expected, found = load_reference(pipeline), portable(seen, extra_events)
    lines = differences(_only(expected, parts), _only(found, parts))
    assert not lines, "\n".join([f"pipeline {pipeline!r} in {seen.folder}:", *lines])


def _only(record: dict[str, Any], parts: Collection[str]) -> dict[str, Any]:
    return {part: record[part] for part in parts}
