"""The driver contract: what a step does, and how a driver says so.

A driver that is complete::

    class Shout:
        def run(self, step_id, config, inputs, ctx):
            df = inputs["df"]                       # a pandas DataFrame unless the spec says otherwise
            df["name"] = df["name"].str.upper() + config.get("suffix", "!")
            return {"df": df}

    DriverRegistry().register("acme.shout", Shout())

A published one derives from :class:`Driver` and is described by a :class:`DriverSpec` in its
package's ``plugin.py`` (see :mod:`osiris.core.hookspecs`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

from osiris.core.errors import DriverError, PluginBrokenError, UsageError
from osiris.core.quick_dataclass import dataclass

if TYPE_CHECKING:
    from osiris.core.plugins import Catalog

__all__ = ["Driver", "DriverLike", "DriverRegistry", "DriverSource", "DriverSpec", "InputForm", "Role", "StepContext"]

InputForm = Literal["stream", "arrow", "pandas"]
Role = Literal["extractor", "transform", "writer"]


@dataclass(frozen=True, kw_only=True)
class DriverSpec:
    """What a driver says of itself, without being imported.

    Attributes:
        name: ``family.role``, as ``mysql.extractor``.
        summary: One line for lists.
        factory: Where the class is: ``package.module:Class``. Imported only when a step runs.
        role: ``extractor`` (no inputs), ``transform`` or ``writer`` (its rows count as written).
        config_model: Where the pydantic model of its config is; None: any mapping is taken.
        connection_family: Which family of ``osiris_connections.yaml`` its ``connection`` option means.
        connection_model: Where the pydantic model of such a connection is.
        input_form: ``stream`` (a :class:`~osiris.core.dataset.Dataset`, read once, bounded memory), ``arrow``
            (a ``pyarrow.Table``) or ``pandas`` (a DataFrame, Arrow-backed).
        input_names: The inputs it knows; None: any name.
        min_inputs, max_inputs: How many it takes; ``max_inputs=None``: any number.
        outputs: The names it returns; empty for one that only writes.
        capabilities: Free words that planning and tools understand: ``files``, ``sql``, ``append``, ...
        needs: Distributions to install beside the family's own for this driver (``osiris-driver-x[s3]``).
        example: A ready-to-paste ``config``.
    """

    name: str
    summary: str
    factory: str
    role: Role = "transform"
    config_model: str | None = None
    connection_family: str | None = None
    connection_model: str | None = None
    input_form: InputForm = "pandas"
    input_names: tuple[str, ...] | None = None
    min_inputs: int = 0
    max_inputs: int | None = None
    outputs: tuple[str, ...] = ("df",)
    capabilities: frozenset[str] = frozenset()
    needs: tuple[str, ...] = ()
    example: Mapping[str, Any] = field(default_factory=dict)

    @property
    def family(self) -> str:
        """The part before the dot."""
        return self.name.partition(".")[0]

    @classmethod
    def for_unknown(cls, name: str, driver: object | None = None) -> DriverSpec:
        """What is assumed of a driver that says nothing: anything goes, pandas in, ``df`` out."""
        factory = "" if driver is None else f"{type(driver).__module__}:{type(driver).__qualname__}"
        return cls(name=name, summary="registered at run time", factory=factory)


class StepContext(Protocol):
    """What a driver may use while it runs. Nothing else of the engine is promised."""

    @property
    def step_id(self) -> str:
        """The id of the step in the manifest."""

    @property
    def session_id(self) -> str:
        """The id of the run; the same in every event."""

    @property
    def base_dir(self) -> Path:
        """Where relative paths of the manifest begin: the pipeline file's folder."""

    @property
    def artifacts_dir(self) -> Path:
        """A folder of the step's own, kept after the run and listed in the result. Exists once asked for."""

    @property
    def temp_dir(self) -> Path:
        """A folder of the step's own, removed after the run whatever happens. Exists once asked for."""

    @property
    def state_dir(self) -> Path:
        """A private folder of the step's own that lives as long as the session. Exists once asked for.

        A writer without a transaction notes here what it is about to do, for :meth:`Driver.committed` to read.
        """

    @property
    def connection(self) -> Mapping[str, Any] | None:
        """The resolved connection that the config's ``connection`` names, secrets included; None without one."""

    @property
    def cancelled(self) -> bool:
        """Whether the run was asked to stop."""

    def raise_if_cancelled(self) -> None:
        """Raise :class:`~osiris.core.errors.RunCancelledError` if the run was asked to stop."""

    def on_cancel(self, callback: Callable[[], object]) -> AbstractContextManager[None]:
        """While the block runs, call ``callback`` from another thread if the run is asked to stop."""

    def log_event(self, event: str, data: Mapping[str, Any] | None = None) -> None:
        """Tell something; the step's id is added. A ``warning`` with a ``message`` is also shown with the result."""

    def log_metric(self, metric: str, value: float, unit: str | None = None, **tags: Any) -> None:
        """Tell a number; the step's id is added. ``rows_written`` and ``bytes_written`` count for the summary."""

    def add_output(self, location: str, **facts: Any) -> None:
        """Say what was written where, once it is there for good: a path or a table, with ``rows``, ``bytes``, ..."""

    def resolve_path(self, path: str | Path) -> Path:
        """``path`` below :attr:`base_dir` where it is relative."""


@runtime_checkable
class DriverLike(Protocol):
    """All that is asked of a driver registered at run time."""

    def run(self, step_id: str, config: Any, inputs: Any, ctx: Any) -> Any:
        """Do the step."""


class Driver:
    """Base class of published drivers; a new object for each step of each run.

    It is made before any step of its stage begins, and may be run and closed by another thread than made it.

    Class attribute ``spec`` may hold the :class:`DriverSpec` of a driver that is registered at run time.
    """

    spec: ClassVar[DriverSpec | None] = None

    def run(
        self, step_id: str, config: Mapping[str, Any], inputs: Mapping[str, Any], ctx: StepContext
    ) -> Mapping[str, Any] | None:
        """Do the step.

        Args:
            step_id: The step's id in the manifest.
            config: As written, references resolved. Already valid for the spec's config model.
            inputs: By name, in the form the spec asks for; plain values as written.
            ctx: See :class:`StepContext`.

        Returns:
            ``{"df": data}`` where data is anything :class:`~osiris.core.dataset.Dataset` takes; lazy streams
            are pulled after this returns. ``{}`` or None for a step that only writes.

        Raises:
            DriverError: With a code of the driver's family; ``retryable`` where trying again may help.
        """
        raise DriverError(
            f"driver {type(self).__name__} has no run()",
            hint="define run(self, step_id, config, inputs, ctx)",
            code="driver.contract",
        )

    def check(self, config: Mapping[str, Any], ctx: StepContext) -> Mapping[str, Any] | None:
        """Can this work? Opens ``ctx.connection``, changes nothing; may return facts (latency, version).

        Raises:
            DriverError: It cannot, and why.
        """
        return None

    def committed(self, step_id: str, config: Mapping[str, Any], ctx: StepContext) -> Mapping[str, Any] | None:
        """Has an earlier attempt of this very step, in this session, already written for good?

        Asked of writers before a retry and before a resumed run does their step again; never before a first
        attempt. A database writer looks for the row ``(ctx.session_id, ctx.step_id)`` that it put into
        ``_osiris_commits`` in the same transaction as its rows; a file writer looks at what it noted in
        ``ctx.state_dir`` before its rename. The session's id stays the same when a run is resumed.

        Returns:
            None: nothing was committed, the step has to run. Otherwise it does not run again, and the facts
            (``rows``, ``location``, ...) stand in its report.

        Raises:
            DriverError: It cannot be told (the place does not answer).
        """
        return None

    def close(self) -> None:
        """Give back what is held. Called once after the step, also after a failure; idempotent."""


DriverSource = DriverLike | type | Callable[[], DriverLike]


class DriverRegistry:
    """Drivers by name: those registered at run time first, then those of installed packages.

    Registrations belong to the process, so that ``DriverRegistry()`` here and in an adapter mean the
    same drivers, and calling the methods on the class works as well.
    """

    _registered: ClassVar[dict[str, tuple[DriverSource, DriverSpec]]] = {}
    _lock: ClassVar[threading.RLock] = threading.RLock()

    @classmethod
    def register(cls, name: str, driver: DriverSource, *, spec: DriverSpec | None = None) -> None:
        """Offer ``driver`` as ``name``: an object with ``run``, a class, or a function that makes one.

        An object is shared by all steps that use it; a class or function gives a new one each time.
        Registering a name again replaces it.

        Raises:
            UsageError: ``name`` is no name that a step could have as its driver, or ``spec`` is not its DriverSpec.
            PluginBrokenError: It is none of these.
        """
        given: Any = name  # whatever a caller without a type checker hands over
        if not isinstance(given, str) or not given or any(character.isspace() for character in given):
            raise UsageError(
                f"a driver cannot be registered as {given!r}",
                hint="give it a name as acme.shout: the family, a dot, and what it does",
                code="usage.name",
            )
        if not (isinstance(driver, type) or callable(driver) or hasattr(driver, "run")):
            raise PluginBrokenError(
                f"driver {name!r} is a {type(driver).__name__} without run()",
                hint="register an object with run(step_id, config, inputs, ctx), or a class of such objects",
            )
        described: Any = spec if spec is not None else getattr(driver, "spec", None)
        if described is not None and (not isinstance(described, DriverSpec) or described.name != name):
            found = f"that of {described.name!r}" if isinstance(described, DriverSpec) else type(described).__name__
            raise UsageError(
                f"the spec of driver {name!r} is {found}",
                hint=f"give a DriverSpec(name={name!r}, ...), or leave it out",
                code="usage.spec",
            )
        known = described or DriverSpec.for_unknown(name, driver)
        with cls._lock:
            cls._registered[name] = (driver, known)

    @classmethod
    def unregister(cls, name: str) -> None:
        """Take back a registration; unknown names are ignored."""
        with cls._lock:
            cls._registered.pop(name, None)

    @classmethod
    def get(cls, name: str) -> Any:
        """A driver object, ready to run.

        Raises:
            PluginError: Nobody offers the name, or who does is broken.
        """
        found = cls._registered.get(name)
        if found is None:
            made: Any = _catalog().load_driver(name)()
        else:
            driver = found[0]
            if hasattr(driver, "run") and not isinstance(driver, type):
                return driver
            made = driver()
        if not hasattr(made, "run"):
            raise PluginBrokenError(f"driver {name!r} has no run()", hint="see osiris.core.driver.Driver")
        return made

    @classmethod
    def spec(cls, name: str) -> DriverSpec:
        """What the driver says of itself; imports at most its family's ``plugin.py``.

        Raises:
            PluginError: Nobody offers the name, or who does is broken.
        """
        found = cls._registered.get(name)
        return found[1] if found is not None else _catalog().describe_driver(name)

    @classmethod
    def is_registered(cls, name: str) -> bool:
        """Whether the name was registered at run time: another process does not have it."""
        return name in cls._registered

    @classmethod
    def is_shared(cls, name: str) -> bool:
        """Whether :meth:`get` gives the same object each time (an object was registered)."""
        found = cls._registered.get(name)
        return found is not None and hasattr(found[0], "run") and not isinstance(found[0], type)

    @classmethod
    def list_drivers(cls) -> list[str]:
        """All names, sorted; families that are broken are left out (``osiris plugins list`` shows them)."""
        return sorted({*cls._registered, *(spec.name for spec in _catalog().driver_specs())})


def _catalog() -> Catalog:
    # The one way from the contract up to the catalogue, taken only when a name is looked up.
    from osiris.core.plugins import Catalog

    return Catalog.current()
