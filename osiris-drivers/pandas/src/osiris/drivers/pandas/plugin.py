"""What the pandas family says of itself; imports neither pandas nor pyarrow."""

from __future__ import annotations

from osiris.core.driver import DriverSpec
from osiris.core.hookspecs import hookimpl

__all__ = ["osiris_drivers"]


@hookimpl
def osiris_drivers() -> list[DriverSpec]:
    """The one driver of the family."""
    return [
        DriverSpec(
            name="pandas.transform",
            summary="Call your own Python function: DataFrame in, DataFrame out",
            factory="osiris.drivers.pandas.transform:Transform",
            config_model="osiris.drivers.pandas.config:TransformConfig",
            role="transform",
            input_form="pandas",
            capabilities=frozenset({"python"}),
            example={"function": "transforms:add_margin", "kwargs": {"rate": 0.2}},
        )
    ]
