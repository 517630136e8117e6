"""What the engine itself takes for each step: 10 to 10,000 steps that do nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.harness import Benchmark, Row, python, run, scratch

COUNTS = (10, 100, 1_000, 10_000)
ROUNDS = 3


def measure(full: bool) -> list[Row]:
    """Milliseconds a step of whole runs (prepare to close), and whether they grow with the number of steps."""
    with scratch() as folder:
        per_step = {
            (shape, count): min(_child(folder, shape, count) for _ in range(ROUNDS)) / count
            for shape in ("independent", "chain")
            for count in COUNTS
        }
    rows = [
        Row(
            what=f"{count:>6,} steps, {shape}",
            measured=milliseconds,
            unit="ms/step",
            budget=0.3 if count == 10_000 else None,
        )
        for (shape, count), milliseconds in per_step.items()
    ]
    rows += [
        Row(
            what=f"growth from 1,000 to 10,000, {shape}",
            measured=per_step[shape, 10_000],
            floor=per_step[shape, 1_000],
            unit="ms/step",
            budget=1.5,
        )
        for shape in ("independent", "chain")
    ]
    return rows


def _child(folder: Path, shape: str, count: int) -> float:
    sample = run(python("-m", "benchmarks.noop_steps", str(folder), shape, str(count)))
    return float(json.loads(sample.stdout)["milliseconds"])


def _run_steps(folder: Path, shape: str, count: int) -> None:
    """In the child: one run of ``count`` steps with its session folder, as the command line does it."""
    import time

    from osiris.core.adapter_factory import AdapterFactory
    from osiris.core.driver import DriverRegistry, DriverSpec
    from osiris.core.lifecycle import run_pipeline
    from osiris.core.session import Session

    class Nothing:
        def run(self, step_id: str, config: object, inputs: object, ctx: object) -> dict[str, object]:
            return {}

    DriverRegistry.register(
        "bench.nothing", Nothing(), spec=DriverSpec(name="bench.nothing", summary="", factory="", outputs=())
    )
    steps: list[dict[str, object]] = [{"id": f"s{number}", "driver": "bench.nothing"} for number in range(count)]
    if shape == "chain":
        for number in range(1, count):
            steps[number]["needs"] = [f"s{number - 1}"]
    manifest = {"version": "1.0.0", "name": "nothing", "steps": steps}
    adapter = AdapterFactory.create("local")
    session = Session.create(folder, pipeline="nothing", manifest=manifest, adapter="local")
    context = session.context()
    begin = time.perf_counter()
    result = run_pipeline(adapter, manifest, context, adapter_name="local")
    milliseconds = (time.perf_counter() - begin) * 1000
    session.finish(result)
    result.raise_for_status()
    sys.stdout.write(json.dumps({"milliseconds": milliseconds}))


BENCHMARK = Benchmark(title="engine overhead of steps that do nothing", measure=measure)

if __name__ == "__main__":
    _run_steps(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
