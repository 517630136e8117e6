"""An adapter of your own: where a pipeline runs, in three phases."""

from __future__ import annotations

import tempfile
from pathlib import Path

from osiris.core.adapter_factory import AdapterFactory
from osiris.core.driver import DriverRegistry
from osiris.core.execution_adapter import ExecutionAdapter, ExecutionContext, ExecutionError, PreparedRun
from osiris.core.lifecycle import run_pipeline


class CustomAdapter(ExecutionAdapter):
    """Runs the steps one after the other and keeps a diary. Good enough to see the phases."""

    def __init__(self, greeting: str = "hello") -> None:
        self.greeting = greeting
        self.completed: list[str] = []

    def prepare(self, manifest, context):
        context.log_event("custom_greeting", {"text": self.greeting})
        configs = {step["id"]: step.get("config", {}) for step in manifest["steps"]}
        return PreparedRun(
            manifest=manifest,
            configs=configs,
            environment={},
            artifacts_dir=context.artifacts_dir,
            run_id=context.session_id,
            metadata={"adapter": "custom"},
        )

    def execute(self, prepared, context):
        for step in prepared.manifest["steps"]:
            driver = DriverRegistry().get(step["driver"])
            try:
                driver.run(step["id"], prepared.configs[step["id"]], {}, context)
            except Exception as error:
                raise ExecutionError(f"step {step['id']!r} failed: {error}") from error
            self.completed.append(step["id"])

    def collect(self, prepared, context):
        return {"status": "success", "steps_completed": len(self.completed), "environment": "custom"}


class Diary:
    """A driver for the adapter to run."""

    def run(self, step_id, config, inputs, ctx):
        ctx.log_event("diary", {"step_id": step_id, "text": config["text"]})
        return {}


def main():
    """Register, create and run, as the guide for adapter authors does."""
    AdapterFactory.register("custom", CustomAdapter)
    DriverRegistry().register("diary.writer", Diary())
    manifest = {
        "version": "1.0.0",
        "name": "diary",
        "steps": [{"id": "monday", "driver": "diary.writer", "config": {"text": "it works"}}],
    }
    with tempfile.TemporaryDirectory() as folder:
        context = ExecutionContext(session_id="diary_1", session_dir=Path(folder))
        adapter = AdapterFactory.create("custom", greeting="good morning")
        result = run_pipeline(adapter, manifest, context, adapter_name="custom")

    result.raise_for_status()
    assert result.steps_completed == 1
    return result


if __name__ == "__main__":
    print(main().to_dict())
