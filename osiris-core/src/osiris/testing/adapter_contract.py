"""The suite for an adapter: whether a pipeline runs there as it runs everywhere."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from osiris.core.adapter_factory import AdapterFactory
from osiris.core.execution_adapter import ExecutionAdapter
from osiris.core.plugins import Catalog
from osiris.testing.contract import must_override

pytest.register_assert_rewrite("osiris.testing.adapter_parity", "osiris.testing.adapter_phases")
pytest.register_assert_rewrite("osiris.testing.adapter_runs")

from osiris.testing.adapter_parity import AdapterParityContract  # noqa: E402  # after its asserts are to be rewritten
from osiris.testing.adapter_phases import AdapterPhasesContract  # noqa: E402
from osiris.testing.adapter_runs import AdapterRunsContract  # noqa: E402
from osiris.testing.adapter_trial import Trial, begin_trial  # noqa: E402
from osiris.testing.parity import Observation, observe  # noqa: E402
from osiris.testing.reference import families, load_pipeline, pipelines  # noqa: E402

__all__ = ["AdapterContract"]

_STANDARD = frozenset({"filesystem", "duckdb"})
_SEEN = pytest.StashKey[dict[str, dict[str, Observation]]]()


class AdapterContract(AdapterPhasesContract, AdapterRunsContract, AdapterParityContract):
    """What an adapter keeps, so that a pipeline cannot tell where it runs.

    Override :meth:`adapter_name` for an installed adapter; :meth:`adapter` where it needs options, a server or
    clean-up; :meth:`extra_events` where it tells events of its own. Needs ``osiris-core[standard]`` for the
    drivers of the corpus.
    """

    # what an author overrides

    @pytest.fixture
    def adapter_name(self) -> str:
        """The adapter's name, as ``--adapter`` takes it."""
        must_override("adapter_name", "the name that --adapter takes")

    @pytest.fixture
    def adapter(self, adapter_name: str) -> Callable[[], ExecutionAdapter]:
        """A function that makes a fresh adapter; default: the factory's, with no options."""
        return lambda: AdapterFactory.create(adapter_name)

    @pytest.fixture
    def extra_events(self) -> Collection[str]:
        """Names of the events that the adapter itself tells, as ``sandbox_*``; default: none."""
        return ()

    @pytest.fixture
    def left_out(self) -> Mapping[str, str]:
        """Pipelines of the corpus that cannot run there, each with the reason; default: none."""
        return {}

    @pytest.fixture
    def patience(self) -> float:
        """Seconds within which a run has begun, and a cancelled one has ended."""
        return 60.0

    # what the rules use

    @pytest.fixture
    def make(self, adapter: Callable[[], ExecutionAdapter]) -> Iterator[Callable[[], ExecutionAdapter]]:
        """Make adapters that are closed after the test, whatever happens."""
        made: list[ExecutionAdapter] = []

        def make_one() -> ExecutionAdapter:
            made.append(adapter())
            return made[-1]

        yield make_one
        for one in made:
            with suppress(Exception):  # whether it may raise is a rule of its own
                one.close()

    @pytest.fixture
    def begin(
        self, make: Callable[[], ExecutionAdapter], tmp_path_factory: pytest.TempPathFactory
    ) -> Callable[..., Trial]:
        """Give a pipeline, or a probe, to a fresh adapter."""

        def begin_one(name: str, kind: str = "pipelines", **options: object) -> Trial:
            _need_drivers(name, kind)
            return begin_trial(make(), tmp_path_factory.mktemp("trial"), name, kind, **options)

        return begin_one

    @pytest.fixture
    def observed(
        self,
        make: Callable[[], ExecutionAdapter],
        adapter_name: str,
        left_out: Mapping[str, str],
        request: pytest.FixtureRequest,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> Callable[[str], Observation]:
        """Run a pipeline of the corpus, or remember how it ran: it runs once, however many rules look at it."""
        seen_before = _memory_of(request)
        if unknown := sorted(set(left_out) - set(pipelines())):
            pytest.fail(f"left_out names what is not in the corpus: {', '.join(unknown)}", pytrace=False)

        def observe_one(name: str) -> Observation:
            if name in left_out:
                pytest.skip(f"left out: {left_out[name]}")
            _need_drivers(name, "pipelines")
            if name not in seen_before:
                folder: Path = tmp_path_factory.mktemp(name)
                seen_before[name] = observe(load_pipeline(name), make(), folder, adapter_name=adapter_name)
            return seen_before[name]

        return observe_one


def _memory_of(request: pytest.FixtureRequest) -> dict[str, Observation]:
    """What was seen in this suite, with the same parameters of an author's fixtures."""
    suite = request.node.getparent(pytest.Class)
    params = getattr(getattr(request.node, "callspec", None), "params", {})
    variant = repr(sorted((name, repr(value)) for name, value in params.items() if name not in ("pipeline", "metric")))
    memory: dict[str, Observation] = suite.stash.setdefault(_SEEN, {}).setdefault(variant, {})
    return memory


def _need_drivers(name: str, kind: str) -> None:
    missing = families(load_pipeline(name, kind)) - set(Catalog.current().driver_families())
    packages = ", ".join(sorted(f"osiris-driver-{family}" for family in missing))
    if missing & _STANDARD:
        pytest.fail(f"the corpus needs {packages}: pip install 'osiris-core[standard]'", pytrace=False)
    if missing:
        pytest.skip(f"needs {packages}")
