"""What an author overrides: what is missing is asked for, what is left out shows, and drivers that are missing too."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pandas as pd
import pyarrow.dataset
import pytest

from osiris.core.plugins import Catalog

PRELOADED = (duckdb, pd, pyarrow.dataset)
HEAD = """
import pytest
from osiris.testing import AdapterContract
from osiris.testing.reference import EngineAdapter
"""
RIGHT = """
class TestRight(AdapterContract):
    @pytest.fixture
    def adapter_name(self):
        return "right"

    @pytest.fixture
    def adapter(self):
        return EngineAdapter
"""


@pytest.fixture(autouse=True)
def clean(pytester: pytest.Pytester) -> Iterator[None]:
    pytester.makeconftest('pytest_plugins = ["osiris.testing.pytest_plugin"]')
    yield
    Catalog.reset()


def run(pytester: pytest.Pytester, suite: str, *arguments: str) -> pytest.RunResult:
    pytester.makepyfile(HEAD + suite)
    return pytester.runpytest_inprocess("-rs", "-p", "no:cacheprovider", "-W", "error", *arguments)


def test_the_name_is_asked_for(pytester: pytest.Pytester) -> None:
    ran = run(pytester, "class TestNothing(AdapterContract):\n    pass\n", "-k", "describes_the_run")
    ran.assert_outcomes(errors=1)
    ran.stdout.fnmatch_lines(["*the suite does not say adapter_name*"])


def test_a_name_is_enough_where_the_adapter_is_installed(pytester: pytest.Pytester) -> None:
    suite = """
class TestLocal(AdapterContract):
    @pytest.fixture
    def adapter_name(self):
        return "local"
"""
    run(pytester, suite, "-k", "describes_the_run").assert_outcomes(passed=1)


def test_a_pipeline_left_out_shows_with_the_reason(pytester: pytest.Pytester) -> None:
    left_out = """
    @pytest.fixture
    def left_out(self):
        return {"wide": "the place is narrow"}
"""
    ran = run(pytester, RIGHT + left_out, "-k", "that_of and (wide or values)")
    ran.assert_outcomes(passed=1, skipped=1)
    ran.stdout.fnmatch_lines(["SKIPPED*left out: the place is narrow"])


def test_a_pipeline_that_does_not_exist_cannot_be_left_out(pytester: pytest.Pytester) -> None:
    left_out = """
    @pytest.fixture
    def left_out(self):
        return {"wid": "misspelt"}
"""
    ran = run(pytester, RIGHT + left_out, "-k", "that_of and wide")
    ran.assert_outcomes(errors=1)
    ran.stdout.fnmatch_lines(["*left_out names what is not in the corpus: wid*"])


def test_events_of_ones_own_are_no_difference_once_they_are_named(pytester: pytest.Pytester) -> None:
    suite = """
class Telling(EngineAdapter):
    def execute(self, prepared, context):
        context.log_event("room_opened")
        super().execute(prepared, context)


class TestUnnamed(AdapterContract):
    @pytest.fixture
    def adapter_name(self):
        return "telling"

    @pytest.fixture
    def adapter(self):
        return Telling


class TestNamed(TestUnnamed):
    @pytest.fixture
    def extra_events(self):
        return ["room_*"]
"""
    ran = run(pytester, suite, "-k", "events_are_those and wide")
    ran.assert_outcomes(passed=1, failed=1)
    ran.stdout.fnmatch_lines(["*events.run: expected run_start, *; found run_start, *room_opened*"])


def test_a_pipeline_runs_once_for_each_variant_of_the_adapter(pytester: pytest.Pytester) -> None:
    suite = """
RUNS = []


class Counting(EngineAdapter):
    def __init__(self, room):
        super().__init__()
        self.room = room

    def execute(self, prepared, context):
        RUNS.append(self.room)
        super().execute(prepared, context)


class TestCounting(AdapterContract):
    @pytest.fixture(params=["one", "other"])
    def room(self, request):
        return request.param

    @pytest.fixture
    def adapter_name(self):
        return "counting"

    @pytest.fixture
    def adapter(self, room):
        return lambda: Counting(room)


def test_zz_runs():
    assert sorted(RUNS) == ["one", "other"]
"""
    run(pytester, suite, "-k", "(of_the_reference and wide) or test_zz_runs").assert_outcomes(passed=9)


def without(monkeypatch: pytest.MonkeyPatch, family: str) -> None:
    there = [name for name in Catalog.current().driver_families() if name != family]
    monkeypatch.setattr(Catalog, "driver_families", lambda self: there)


def test_pipelines_of_an_optional_driver_are_skipped(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "pandas")
    ran = run(pytester, RIGHT, "-k", "that_of and pandas")
    ran.assert_outcomes(skipped=1)
    ran.stdout.fnmatch_lines(["SKIPPED*needs osiris-driver-pandas"])


def test_without_the_drivers_of_the_corpus_nothing_is_right(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "filesystem")
    ran = run(pytester, RIGHT, "-k", "that_of and wide")
    ran.assert_outcomes(failed=1)
    ran.stdout.fnmatch_lines(["*the corpus needs osiris-driver-filesystem: pip install 'osiris-core*standard*'"])


def test_a_thread_that_each_run_leaves_is_seen_and_one_of_the_process_is_not(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("osiris.testing.adapter_runs._LINGER", (0.2, 0.2, 0.2))
    suite = """
import threading

OVER = threading.Event()
POOL = []


def linger():
    thread = threading.Thread(target=OVER.wait, name="lingering")
    thread.start()
    return thread


class Pooling(EngineAdapter):
    def execute(self, prepared, context):
        super().execute(prepared, context)
        if not POOL:
            POOL.append(linger())


class Leaking(EngineAdapter):
    def execute(self, prepared, context):
        super().execute(prepared, context)
        linger()


@pytest.fixture(autouse=True, scope="module")
def end():
    yield
    OVER.set()


class TestPooling(AdapterContract):
    @pytest.fixture
    def adapter_name(self):
        return "pooling"

    @pytest.fixture
    def adapter(self):
        return Pooling


class TestLeaking(TestPooling):
    @pytest.fixture
    def adapter(self):
        return Leaking
"""
    ran = run(pytester, suite, "-k", "process_is_left")
    ran.assert_outcomes(passed=1, failed=1)
    ran.stdout.fnmatch_lines(["*still there after 0 s, each time: thread lingering (*"])
