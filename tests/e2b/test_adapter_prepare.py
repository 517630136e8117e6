"""What goes to the sandbox and what is installed there; versions that differ; options; the command line."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import py_compile
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from e2b_server import E2BServer

from osiris.core.adapter_factory import AdapterFactory
from osiris.core.benchmark import run_benchmark
from osiris.core.driver import DriverRegistry
from osiris.core.errors import PluginNotFoundError, PrepareError, UsageError
from osiris.core.execution_adapter import ExecutionContext
from osiris.core.lifecycle import run_pipeline
from osiris.core.manifest import load_manifest
from osiris.core.plugins import Catalog
from osiris.remote.e2b.options import E2BOptions
from osiris.remote.e2b.requirements import find_needs, python_version
from osiris.remote.e2b.template import template_name
from osiris.remote.e2b.wheels import installed, is_pure, pack_wheel
from osiris.remote.e2b_transparent_proxy import E2BTransparentProxy

from .conftest import CORPUS, InSandbox, Proxy, environment_of, names, only, rogue_steps


def test_exactly_what_the_plan_needs_is_sent(run: InSandbox) -> None:
    result, context = run("csv-sql-csv")
    assert result.status == "success", result.error
    told = only(context, "files_uploaded")
    assert [name.partition("-")[0] for name in told["distributions"]] == [
        "osiris_core",
        "osiris_driver_duckdb",
        "osiris_driver_filesystem",
    ]
    assert told["files"] == 1
    assert len(told["sha256"]) == 64


def test_a_wheel_is_a_wheel(tmp_path: Path) -> None:
    """Python's own installer takes it, and finds the same code in it."""
    found = installed("osiris-driver-duckdb")
    assert found is not None
    assert is_pure(found)
    wheel = pack_wheel(found)
    assert wheel == pack_wheel(found)
    assert wheel.sha256 == hashlib.sha256(wheel.content).hexdigest()
    place = tmp_path / wheel.name
    place.write_bytes(wheel.content)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        str(tmp_path / "there"),
    ]
    subprocess.run([*pip, str(place)], check=True)
    source = Path(str(importlib.util.find_spec("osiris.drivers.duckdb.plugin").origin))  # type: ignore[union-attr]
    assert (tmp_path / "there" / "osiris" / "drivers" / "duckdb" / "plugin.py").read_bytes() == source.read_bytes()
    assert (
        "duckdb = osiris.drivers.duckdb.plugin"
        in next((tmp_path / "there").glob("*.dist-info/entry_points.txt")).read_text()
    )


def test_compiled_modules_travel_where_they_are_valid(rogue: Path) -> None:
    fresh, stale = rogue / "rogue" / "plugin.py", rogue / "rogue" / "actor.py"
    for path in (fresh, stale):
        py_compile.compile(str(path))
    stale.write_text(stale.read_text() + "\n# changed\n")
    found = installed("rogue-osiris")
    assert found is not None
    with zipfile.ZipFile(BytesIO(pack_wheel(found).content)) as wheel:
        compiled = [name for name in wheel.namelist() if name.endswith(".pyc")]
        assert [name.partition(".")[0] for name in compiled] == ["rogue/__pycache__/plugin"]
        assert wheel.read(compiled[0])[4] == 1  # not to be compared with a time
        wheel.extractall(rogue.parent / "there")
    code = "import rogue.plugin; print(rogue.plugin.__cached__, rogue.plugin.osiris_drivers.__code__.co_filename)"
    told = subprocess.run(
        [sys.executable, "-v", "-c", code], cwd=rogue.parent / "there", capture_output=True, text=True, check=True
    )
    assert "code object from" not in [line for line in told.stderr.splitlines() if "rogue/plugin.py" in line][:1]
    assert f"{rogue.parent / 'there' / 'rogue' / 'plugin.py'}" in told.stdout


def test_needs_are_closed_and_pinned() -> None:
    needs = find_needs(["osiris-core", "osiris-driver-pandas"])
    assert {"pandas", "numpy", "pyarrow", "pydantic-core"} <= set(needs.pins)
    assert needs.pins["pandas"].startswith("pandas==")
    assert "osiris-core" not in needs.pins
    there = {name: pin.partition("==")[2] for name, pin in needs.pins.items()}
    assert needs.missing(there) == []
    assert needs.missing({**there, "pyarrow": "1.0"}) == [needs.pins["pyarrow"]]


def test_a_need_that_is_no_requirement_is_named() -> None:
    with pytest.raises(PrepareError, match="'tiny need' among its needs") as caught:
        find_needs(["osiris-core"], extra=["tiny need"])
    assert caught.value.code == "e2b.cannot_pack"


def test_what_is_missing_is_installed(rogue: Path, run: InSandbox, tmp_path: Path) -> None:
    """The bad driver's package now needs another one, which the sandbox does not have and pip finds."""
    facts = rogue / "rogue_osiris-1.0.dist-info" / "METADATA"
    facts.write_text(facts.read_text() + "Requires-Dist: tinyneed>=1\n")
    (rogue / "tinyneed.py").write_text("ANSWER = 42\n")
    own = rogue / "tinyneed-1.5.dist-info"
    own.mkdir()
    (own / "METADATA").write_text("Metadata-Version: 2.1\nName: tinyneed\nVersion: 1.5\n")
    found = installed("tinyneed")
    assert found is not None
    wheel = pack_wheel(found)
    index = tmp_path / "index"
    index.mkdir()
    (index / wheel.name).write_bytes(wheel.content)
    (rogue / "rogue" / "actor.py").write_text((rogue / "rogue" / "actor.py").read_text() + ANSWER)
    with package_index(index) as url:
        result, context = run(rogue_steps({"do": "tell_need"}), env=f"PIP_NO_INDEX=1,PIP_FIND_LINKS={url}")
    assert result.status == "success", result.error
    assert only(context, "dependency_installed")["packages"] == ["tinyneed==1.5"]
    assert only(context, "needed")["answer"] == 42
    result, _ = run(rogue_steps({"do": "tell_need"}), env="PIP_NO_INDEX=1")
    assert isinstance(result.error, PrepareError)
    assert result.error.code == "e2b.install_failed"
    assert "tinyneed==1.5" in result.error.message
    result, _ = run(rogue_steps({"do": "nothing"}), install="none")
    assert isinstance(result.error, PrepareError)
    assert (result.error.code, result.error.facts["missing"]) == ("e2b.not_installed", ["tinyneed==1.5"])


@contextmanager
def package_index(folder: Path) -> Iterator[str]:
    """A page of links to the files of a folder."""
    handler = partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


ANSWER = """
    def tell_need(self):
        import tinyneed
        self.ctx.log_event("needed", {"answer": tinyneed.ANSWER})
"""


def test_a_template_is_built_once_for_what_is_needed(cloud: E2BServer, run: InSandbox) -> None:
    result, context = run("csv-sql-csv", template=None, cpu=4, memory_gb=2)
    assert result.status == "success", result.error
    built = only(context, "template_built")["template"]
    created = only(context, "sandbox_created")
    assert (created["cpu"], created["memory_mb"]) == (4, 2048)
    result, context = run("csv-sql-csv", template=None, cpu=4, memory_gb=2)
    assert result.status == "success", result.error
    assert "template_built" not in names(context)
    assert only(context, "sandbox_created")["template"] == built
    steps = json.dumps([entry.body for entry in cloud.log.entries if entry.operation.startswith("template.")])
    assert "duckdb==" in steps
    assert "pandas" not in steps
    assert f"python:{python_version()}-slim" in steps


def test_a_template_is_named_by_what_is_in_it() -> None:
    small, large = find_needs(["osiris-core"]), find_needs(["osiris-core", "osiris-driver-duckdb"])
    options = E2BOptions()
    seen = {
        template_name(small, options),
        template_name(large, options),
        template_name(small, E2BOptions(cpu=2)),
        template_name(small, E2BOptions(memory_gb=2)),
    }
    assert len(seen) == 4
    assert template_name(small, options) == template_name(find_needs(["osiris-core"]), options)


def test_another_python_is_refused_with_both_named(run: InSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("osiris.remote.e2b.berth.python_version", lambda: "3.99")
    result, _ = run("csv-sql-csv")
    assert isinstance(result.error, PrepareError)
    assert result.error.code == "worker.mismatch"
    found = ".".join(map(str, sys.version_info[:2]))
    assert f"python: wanted 3.99, found {found}." in result.error.message


def test_other_versions_are_refused_with_both_named(run: InSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Something in the sandbox hides what was sent."""
    monkeypatch.setattr("osiris.core.remote.execution.core_version", lambda: "1.99.0")
    result, _ = run("csv-sql-csv")
    assert isinstance(result.error, PrepareError)
    assert result.error.code == "worker.mismatch"
    assert "osiris-core: wanted 1.99.0, found 1." in result.error.message


def test_a_driver_of_this_process_alone_is_refused_before_anything_is_made(
    cloud: E2BServer, run: InSandbox, register: Any
) -> None:
    before = len(cloud.log.entries)
    register("here.only", lambda: None)
    assert DriverRegistry.is_registered("here.only")
    result, _ = run({"version": "1.0.0", "name": "x", "steps": [{"id": "s", "driver": "here.only", "config": {}}]})
    assert isinstance(result.error, PluginNotFoundError)
    assert result.error.code == "plugin.not_in_worker"
    assert len(cloud.log.entries) == before


def test_no_key(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("E2B_API_KEY", raising=False)
    context = ExecutionContext("run", tmp_path / "session", base_dir=project)
    result = run_pipeline(E2BTransparentProxy(), load_manifest(CORPUS / "csv-sql-csv.yaml"), context)
    assert isinstance(result.error, UsageError)
    assert "E2B_API_KEY" in str(result.error.hint)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"templat": "x"}, "did you mean 'template'"),
        ({"timeout": "soon"}, "timeout"),
        ({"timeout": "0"}, "timeout"),
        ({"template": "x", "cpu": "2"}, "cpu and memory_gb belong to"),
        ({"template": "x", "install": "template"}, "install=template builds"),
        ({"install": "pip", "cpu": "2"}, "need install=template"),
        ({"install": "maybe"}, "install"),
        ({"pass_env": "A B"}, "pass_env"),
        ({"env": "A"}, "NAME=value"),
        ({"api_url": "ftp://x"}, "api_url"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        AdapterFactory.create("e2b", **options)
    assert says in f"{caught.value.message} {caught.value.hint}"
    if "did you mean" not in says:
        with pytest.raises(UsageError):
            E2BTransparentProxy(**options)


def test_options_as_text_and_as_values(cloud: E2BServer, run: InSandbox) -> None:
    assert E2BOptions(network="db.example.com,10.0.0.0/8").rules == {
        "allow_out": ["db.example.com", "10.0.0.0/8"],
        "deny_out": ["0.0.0.0/0"],
    }
    assert E2BOptions(network="off").internet is False
    assert E2BOptions(env="A=1, B=x=y").env == {"A": "1", "B": "x=y"}
    assert "e2b_secret" not in repr(E2BOptions(api_key="e2b_secret", env={"A": "e2b_secret"}))
    result, _ = run("csv-sql-csv", network="db.example.com", timeout=77)
    assert result.status == "success", result.error
    (body,) = [entry.body for entry in cloud.log.of("sandbox.create")[-1:]]
    assert body is not None
    assert body["network"] == {"allowOut": ["db.example.com"], "denyOut": ["0.0.0.0/0"]}
    assert body["timeout"] == 77
    assert body["metadata"]["osiris_run_id"] == "run"


def test_a_sandbox_that_is_kept(cloud: E2BServer, run: InSandbox) -> None:
    result, _ = run("csv-sql-csv", keep_sandbox=True)
    (sandbox,) = cloud.sandboxes
    assert result.extras["sandbox_id"] == sandbox.sandbox_id
    cloud.faults.kill_sandbox(sandbox.sandbox_id)


def test_elsewhere_where_the_place_fails(proxy: Proxy, project: Path, tmp_path: Path) -> None:
    context = ExecutionContext("run", tmp_path / "session", base_dir=project)
    manifest = load_manifest(CORPUS / "csv-sql-csv.yaml")
    fallbacks = [("local", lambda: AdapterFactory.create("local"))]
    result = run_pipeline(proxy(template="unknown"), manifest, context, adapter_name="e2b", fallbacks=fallbacks)
    assert (result.status, result.adapter, result.extras["fallback_from"]) == ("success", "local", "e2b")


def test_on_the_command_line(cloud: E2BServer, project: Path) -> None:
    (project / "pipeline.yaml").write_text((CORPUS / "csv-sql-csv.yaml").read_text())
    command = [Path(sys.executable).with_name("osiris"), "run", "--adapter", "e2b", "--json", "-vv"]
    command += ["--adapter-option", "template=base", "--adapter-option", "timeout=60"]
    done = subprocess.run(command, cwd=project, env=environment_of(cloud), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["status"] == "success"
    assert told["overhead_ms"] > 0
    assert '-> {"jsonrpc":"2.0","id":1,"method":"hello"' in done.stderr
    assert "sandbox_created" in done.stderr
    assert cloud.api_key not in done.stderr + done.stdout
    assert (project / "out" / "sums.csv").exists()


def test_osiris_bench_knows_all_figures_of_it(cloud: E2BServer, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    manifest = load_manifest(CORPUS / "csv-sql-csv.yaml")
    report = run_benchmark(
        "e2b",
        manifest,
        runs=1,
        warmup=0,
        adapter_options={"template": "base"},
        context_factory=lambda: ExecutionContext("bench", project / "session", base_dir=project),
    )
    assert report.unknown == []
    assert report.figures["network_latency_ms"].median > 0


def test_the_adapter_is_listed_without_importing_the_sdk() -> None:
    Catalog.reset()
    spec = Catalog.current().describe_adapter("e2b")
    assert (spec.remote, spec.options_model) == (True, "osiris.remote.e2b.options:E2BOptions")
    code = "import sys, osiris.remote.e2b_transparent_proxy; print('e2b' in sys.modules, 'httpx' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
