"""A step in a process of its own, where its memory can be measured and it can be killed.

``python -m osiris.testing.step_process JOB`` runs the job (JSON) and prints the most memory it held.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from osiris.core.dataset import Dataset
from osiris.core.quick_dataclass import dataclass
from osiris.testing.fresh_process import PATIENCE, fresh_environment, run_fresh
from osiris.testing.input_stream import InputStream, in_form
from osiris.testing.sample_tables import big_batches, big_schema
from osiris.testing.step_context import RecordingStepContext

__all__ = ["StepJob"]


@dataclass(frozen=True, kw_only=True)
class StepJob:
    """A step over rows that are made as they are read.

    Attributes:
        factory: The driver, as ``package.module:Class``.
        form: The input form of its spec.
        input_names: Its inputs; each gets the same rows.
        config: The step's, as in a manifest.
        connection: The resolved connection.
        folder: Where relative paths begin, and the session is.
        session_id: The session's id.
        rows: How many rows each input has.
        first_id: The least of their ids.
    """

    factory: str
    form: str
    input_names: Sequence[str]
    config: Mapping[str, Any]
    connection: Mapping[str, Any] | None
    folder: str
    session_id: str
    rows: int
    first_id: int

    def peak_memory(self) -> int:
        """Run it in a fresh process; the most bytes that were resident there."""
        return int(run_fresh("-m", __name__, self._written()))

    def kill(self) -> None:
        """Run it in a fresh process that is killed (SIGKILL) when half of the rows were read."""
        done = subprocess.run(  # noqa: S603  # this Python, and arguments of the kit
            [sys.executable, "-m", __name__, self._written(), "--kill"],
            env=fresh_environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == -signal.SIGKILL, f"it ended before half of its input was read: {done.stderr}"

    def _written(self) -> str:
        path = Path(self.folder) / f"job-{self.session_id}-{self.rows}.json"
        path.write_text(json.dumps(asdict(self), default=str), encoding="utf-8")
        return str(path)


def _run(job: StepJob, before: Callable[[int], object]) -> None:
    ctx = RecordingStepContext(Path(job.folder), connection=job.connection, session_id=job.session_id)
    module, _, name = job.factory.partition(":")
    driver = getattr(import_module(module), name)()
    streams = [InputStream(big_schema(), big_batches(job.rows, job.first_id), ctx, before) for _ in job.input_names]
    inputs = {name: in_form(job.form, stream) for name, stream in zip(job.input_names, streams, strict=True)}
    result = driver.run(step_id=ctx.step_id, config=job.config, inputs=inputs, ctx=ctx.for_driver())
    if result and result.get("df") is not None:
        for _ in Dataset.of(result["df"]).batches():
            pass
    driver.close()


def _peak() -> int:
    # ru_maxrss would count what the parent held when it started us.
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def _main() -> None:
    job = StepJob(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    half = sum(1 for _ in range(0, job.rows, 1000)) // 2

    def before(number: int) -> None:
        if "--kill" in sys.argv and number == half:
            os.kill(os.getpid(), signal.SIGKILL)

    _run(job, before)
    sys.stdout.write(str(_peak()))


if __name__ == "__main__":
    _main()
