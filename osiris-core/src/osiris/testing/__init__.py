"""The conformance kit: suites that packages, drivers and adapters subclass to know that they are right.

In ``conftest.py``: ``pytest_plugins = ["osiris.testing.pytest_plugin"]``. Then::

    from osiris.testing import PackageContract

    class TestPackage(PackageContract):
        @pytest.fixture
        def distribution(self):
            return "acme-osiris"

One overrides fixtures, never tests. Needs ``osiris-core[testing]``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from osiris.testing.adapter_contract import AdapterContract
    from osiris.testing.contract import Contract
    from osiris.testing.driver_contract import DriverContract
    from osiris.testing.extractor_contract import ExtractorContract
    from osiris.testing.package_contract import PackageContract
    from osiris.testing.step_context import RecordingStepContext
    from osiris.testing.transform_contract import TransformContract
    from osiris.testing.writer_contract import WriterContract

__all__ = [
    "AdapterContract",
    "Contract",
    "DriverContract",
    "ExtractorContract",
    "PackageContract",
    "RecordingStepContext",
    "TransformContract",
    "WriterContract",
]

_HOMES = {
    "AdapterContract": "adapter_contract",
    "Contract": "contract",
    "DriverContract": "driver_contract",
    "ExtractorContract": "extractor_contract",
    "PackageContract": "package_contract",
    "RecordingStepContext": "step_context",
    "TransformContract": "transform_contract",
    "WriterContract": "writer_contract",
}


def __getattr__(name: str) -> Any:
    # Late, so that the plugin can have pytest rewrite the asserts of these modules before they are imported.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
