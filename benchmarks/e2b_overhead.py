"""What a sandbox costs beside a local run: in parts, for each step, for each event. The provider is the tests' own."""

from __future__ import annotations

import importlib
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.harness import Benchmark, Row, scratch

ROUNDS = 3
STEPS = 200
SECONDS, FULL_SECONDS = 5, 60
LONG = 60.0
"""Seconds of the pipeline that the budget is about."""

SERVICES = Path(__file__).resolve().parents[1] / "tests" / "services"
PARTS = ("create_ms", "upload_ms", "install_ms", "start_ms", "transfer_ms")

WAITING = """\
import time


def wait(df, seconds):
    time.sleep(seconds)
    return df
"""


def measure(full: bool) -> list[Row]:
    """Parts of the overhead of a run that waits, time for each of many small steps, how late events are."""
    seconds = FULL_SECONDS if full else SECONDS
    with scratch() as folder, _provider() as provider:
        (folder / "waiting.py").write_text(WAITING, encoding="utf-8")
        (folder / "rows.csv").write_text("a\n1\n", encoding="utf-8")
        (folder / "long.yaml").write_text(_long(seconds), encoding="utf-8")
        (folder / "steps.yaml").write_text(_steps(), encoding="utf-8")
        rows = _parts(folder, provider, seconds)
        rows += _per_step(folder, provider)
        rows += _lag(folder, provider)
    return rows


def _parts(folder: Path, provider: Mapping[str, str], seconds: float) -> list[Row]:
    here, there = _alternate(folder, "long.yaml", provider, 3 if seconds > SECONDS else ROUNDS)
    parts = {name: statistics.median(run["overhead"][name] for run in there) for name in PARTS}
    total = statistics.median(run["duration_ms"] for run in there)
    local = statistics.median(run["duration_ms"] for run in here)
    start = statistics.median(_start(run) for run in there)
    started = statistics.median(run["duration_ms"] - _start(run) for run in there)
    rows = [Row(what=f"sandbox: {name.removesuffix('_ms')}", measured=parts[name], unit="ms") for name in PARTS]
    rows.append(Row(what="start: SDK, sandbox, what it needs, worker", measured=start, unit="ms"))
    rows.append(Row(what=f"run of {seconds} s, sandbox against local", measured=total, floor=local, unit="ms"))
    rows.append(Row(what="all that is beyond the local run", measured=total - local, unit="ms"))
    # It does not grow with the run: a heartbeat each 5 s and a sign each 15 s are all that does.
    share = (started - local) / 1000 / LONG * 100
    rows.append(Row(what=f"beyond that start, of a run of {LONG:.0f} s", measured=share, unit="%", budget=1.0))
    return rows


def _start(run: Mapping[str, Any]) -> float:
    """Milliseconds until the worker speaks: planning here, the first step and bringing home come on top."""
    return float(sum(run["overhead"][name] for name in PARTS if name != "transfer_ms"))


def _per_step(folder: Path, provider: Mapping[str, str]) -> list[Row]:
    here, there = _alternate(folder, "steps.yaml", provider, ROUNDS)

    def executed(runs: list[dict[str, Any]]) -> float:
        return float(
            statistics.median(run["executed_ms"] - run.get("overhead", {}).get("start_ms", 0.0) for run in runs)
        )

    extra = (executed(there) - executed(here)) / STEPS
    return [Row(what=f"each of {STEPS} small steps, beyond a local one", measured=extra, unit="ms", budget=10.0)]


def _lag(folder: Path, provider: Mapping[str, str]) -> list[Row]:
    trace = folder / "trace.log"
    _run(folder, "steps.yaml", {**provider, "OSIRIS_RPC_TRACE": str(trace)}, "e2b")
    lags = sorted(_lags(trace))
    middle, late = lags[len(lags) // 2], lags[int(len(lags) * 0.99)]
    return [
        Row(what="an event, until it is here: median", measured=middle, unit="ms"),
        Row(what="an event, until it is here: 99 of 100", measured=late, unit="ms"),
    ]


def _lags(trace: Path) -> Iterator[float]:
    """Milliseconds between a worker's telling and our hearing; both clocks are this machine's."""
    today = datetime.now(UTC).date().isoformat()
    for line in trace.read_text(encoding="utf-8").splitlines():
        heard, way, message = line.split(" ", 2)
        told = json.loads(message).get("params", {}).get("ts") if way == "<-" and message.startswith("{") else None
        if told is not None:
            came = datetime.fromisoformat(f"{today}T{heard}+00:00")
            yield (came - datetime.fromisoformat(told)).total_seconds() * 1000


def _alternate(
    folder: Path, pipeline: str, provider: Mapping[str, str], rounds: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Runs here and there, in turns, after one of each that does not count."""
    runs: dict[str, list[dict[str, Any]]] = {"local": [], "e2b": []}
    for number in range(rounds + 1):
        for adapter in ("local", "e2b") if number % 2 else ("e2b", "local"):
            done = _run(folder, pipeline, provider, adapter)
            if number:
                runs[adapter].append(done)
    return runs["local"], runs["e2b"]


def _run(folder: Path, pipeline: str, provider: Mapping[str, str], adapter: str) -> dict[str, Any]:
    command = [str(Path(sys.executable).parent / "osiris"), "run", pipeline, "--json", "--quiet", "--adapter", adapter]
    command += ["--adapter-option", "template=base"] if adapter == "e2b" else []
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **provider}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout)
    metrics = Path(result["session_dir"], "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in metrics if '"execution_time_ms"' in line]
    return {**result, "executed_ms": found[-1]["value"]}


def _long(seconds: float) -> str:
    return f"""\
version: "1.0.0"
name: long
steps:
  - id: rows
    driver: filesystem.csv_extractor
    config: {{path: rows.csv}}
  - id: wait
    driver: pandas.transform
    config: {{function: "waiting:wait", kwargs: {{seconds: {seconds}}}}}
    inputs: {{df: "${{rows.df}}"}}
  - id: save
    driver: filesystem.csv_writer
    config: {{path: out.csv}}
    inputs: {{df: "${{wait.df}}"}}
"""


def _steps() -> str:
    steps = "\n".join(
        f'  - {{id: s{number}, driver: duckdb.processor, config: {{query: "select {number} as n"}}}}'
        for number in range(STEPS)
    )
    return f'version: "1.0.0"\nname: steps\nsteps:\n{steps}\n'


@contextmanager
def _provider() -> Iterator[dict[str, str]]:
    """The tests' provider in a process of its own; gives the environment that leads there."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.e2b_overhead"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        if process.stdin is None or process.stdout is None:
            sys.exit("the provider has no pipes")
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.stdin.close()  # it ends when its input does


def _provide() -> None:
    sys.path.insert(0, str(SERVICES))
    server_class: Any = importlib.import_module("e2b_server").E2BServer
    with server_class() as server:
        sys.stdout.write(json.dumps(server.environment) + "\n")
        sys.stdout.flush()
        sys.stdin.read()


BENCHMARK = Benchmark(title="a run in a sandbox, beside the same run here", measure=measure)

if __name__ == "__main__":
    _provide()
