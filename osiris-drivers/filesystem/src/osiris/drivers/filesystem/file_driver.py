"""What all drivers of the family have in common: how their connection is tested."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osiris.core.driver import Driver, StepContext
from osiris.drivers.filesystem.locations import check_base

__all__ = ["FileDriver"]


class FileDriver(Driver):
    """A driver whose connection is a folder."""

    def check(self, config: Mapping[str, Any], ctx: StepContext) -> Mapping[str, Any]:
        """List the connection's ``base_dir``.

        Returns:
            ``base_dir`` and ``writable`` (None where only trying would tell).

        Raises:
            DriverError: It is not there, is no folder, or may not be read.
        """
        return check_base(ctx)
