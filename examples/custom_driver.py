"""A driver of your own, without a package: register it, name it in a manifest, run it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from osiris.core.driver import DriverRegistry
from osiris.core.execution_adapter import ExecutionContext
from osiris.runtime.local_adapter import LocalAdapter


class TestDriver:
    """Returns two rows, so that there is something to count."""

    def run(self, step_id, config, inputs, ctx):
        ctx.log_event("greeting", {"test": config["test"]})
        ctx.log_metric("rows_processed", 2)
        return {"df": [{"id": 1, "name": "one"}, {"id": 2, "name": "two"}]}


def main() -> dict:
    """Run the manifest of the guide through the three phases."""
    DriverRegistry().register("test.driver", TestDriver())
    manifest = {
        "version": "1.0.0",
        "steps": [{"id": "test_step", "driver": "test.driver", "config": {"test": True}}],
    }
    with tempfile.TemporaryDirectory() as folder:
        context = ExecutionContext(session_id="test_session", artifacts_dir=Path(folder) / "artifacts")
        adapter = LocalAdapter()
        try:
            prepared = adapter.prepare(manifest, context)
            adapter.execute(prepared, context)
            results = adapter.collect(prepared, context)
        finally:
            adapter.close()

    assert results["status"] == "success"
    assert results["steps_completed"] == 1
    return results


if __name__ == "__main__":
    print(main())
