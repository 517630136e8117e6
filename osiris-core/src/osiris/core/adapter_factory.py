"""Adapters by name: those registered at run time first, then those of installed packages."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from osiris.core.errors import PluginBrokenError, UsageError
from osiris.core.execution_adapter import AdapterSpec, ExecutionAdapter

if TYPE_CHECKING:
    from osiris.core.plugins import Catalog

__all__ = ["AdapterFactory"]

AdapterMaker = Callable[..., ExecutionAdapter]


class AdapterFactory:
    """Makes adapters.

    ::

        AdapterFactory.register("custom", CustomAdapter)
        adapter = AdapterFactory.create("custom", region="eu")
    """

    _registered: ClassVar[dict[str, AdapterMaker]] = {}
    _lock: ClassVar[threading.RLock] = threading.RLock()

    @classmethod
    def register(cls, name: str, adapter: AdapterMaker) -> None:
        """Offer ``adapter`` (a class, or a function that makes one) as ``name``; again replaces.

        Raises:
            UsageError: ``name`` is no text, or empty.
            PluginBrokenError: It cannot be called, or is a class without prepare, execute and collect.
        """
        named: Any = name
        if not isinstance(named, str) or not named.strip():
            raise UsageError(
                f"an adapter cannot be registered as {named!r}", hint="give it a name, as custom", code="usage.name"
            )
        given: Any = adapter  # whatever a caller without a type checker hands over
        phases = ("prepare", "execute", "collect")
        made_of_phases = not isinstance(given, type) or all(hasattr(given, phase) for phase in phases)
        if not (callable(given) and made_of_phases):
            raise PluginBrokenError(
                f"adapter {name!r} is not a class with prepare, execute and collect",
                hint="derive it from osiris.core.execution_adapter.ExecutionAdapter",
            )
        with cls._lock:
            cls._registered[name] = adapter

    @classmethod
    def unregister(cls, name: str) -> None:
        """Take back a registration; unknown names are ignored."""
        with cls._lock:
            cls._registered.pop(name, None)

    @classmethod
    def create(cls, name: str, **options: Any) -> ExecutionAdapter:
        """A new adapter for one run.

        Options of an installed adapter are checked against its options model before it is imported.

        Raises:
            PluginError: Nobody offers the name, or who does is broken.
            UsageError: The adapter does not take these options.
        """
        maker = cls._registered.get(name)
        if maker is None:
            return _catalog().create_adapter(name, options)
        return maker(**options)

    @classmethod
    def spec(cls, name: str) -> AdapterSpec:
        """What the adapter says of itself.

        Raises:
            PluginError: Nobody offers the name, or who does is broken.
        """
        maker = cls._registered.get(name)
        if maker is None:
            return _catalog().describe_adapter(name)
        factory = f"{getattr(maker, '__module__', '')}:{getattr(maker, '__qualname__', name)}"
        return AdapterSpec(name=name, summary="registered at run time", factory=factory)

    @classmethod
    def available(cls) -> list[str]:
        """All names, sorted; broken ones are left out (``osiris plugins list`` shows them)."""
        return sorted({*cls._registered, *_catalog().adapter_names()})


def _catalog() -> Catalog:
    # The one way from the contract up to the catalogue, taken only when a name is looked up.
    from osiris.core.plugins import Catalog

    return Catalog.current()
