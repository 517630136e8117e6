"""The same against the real E2B: only where there is a key for that."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from osiris.core.execution_adapter import ExecutionContext
from osiris.core.lifecycle import run_pipeline
from osiris.core.manifest import load_manifest
from osiris.remote.e2b_transparent_proxy import E2BTransparentProxy

from .conftest import CORPUS, make_project, only

KEY = os.environ.get("OSIRIS_TEST_E2B_KEY")

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not KEY, reason="set OSIRIS_TEST_E2B_KEY to run against E2B itself; it costs a few cents"),
]


@pytest.mark.parametrize("name", ["csv-sql-csv", "pandas-transform", "parquet-and-table"])
@pytest.mark.timeout(1800)  # the first time builds a template
def test_a_pipeline_in_the_real_cloud(name: str, tmp_path: Path) -> None:
    project = make_project(tmp_path)
    context = ExecutionContext(f"live-{name}", tmp_path / "session", base_dir=project)
    adapter = E2BTransparentProxy(api_key=KEY, timeout=120)
    result = run_pipeline(adapter, load_manifest(CORPUS / f"{name}.yaml"), context, adapter_name="e2b")
    assert result.status == "success", result.error
    assert only(context, "sandbox_created")["sandbox_id"] == result.extras["sandbox_id"]
    assert list((project / "out").iterdir())
