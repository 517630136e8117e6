"""The corpus, run in this process and in a worker: the same events, metrics, results and files, to the byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from osiris.runtime.local_adapter import LocalAdapter
from osiris.testing.parity import Observation, differences, exact, observe
from osiris.testing.reference import load_pipeline

PIPELINES = [
    "bad-query",
    "checkpoint",
    "fan-out",
    "failing-step",
    "missing-file",
    "older-dialect",
    "on-error-continue",
    "parquet-and-table",
    "several-outputs",
    "values",
]
"""The others are compared with their references, in tests/contract."""


def run(pipeline: str, folder: Path, isolation: Any) -> Observation:
    folder.mkdir()
    return observe(load_pipeline(pipeline), LocalAdapter(isolation=isolation), folder, adapter_name="local")


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_a_worker_tells_and_leaves_the_same(pipeline: str, tmp_path: Path) -> None:
    here, there = (run(pipeline, tmp_path / isolation, isolation) for isolation in ("none", "process"))
    assert differences(exact(here), exact(there), strict=True) == []
    assert type(here.result.error) is type(there.result.error)
    assert {metric["metric"] for metric in there.metrics} == {metric["metric"] for metric in here.metrics}
