"""The options of ``pandas.transform``."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["TransformConfig"]


class TransformConfig(BaseModel):
    """Options of ``pandas.transform``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    function: str = Field(
        pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$",
        description="Your function as `module:function`; the module is looked for beside the pipeline file first",
    )
    kwargs: dict[str, Any] = Field({}, description="Extra keyword arguments of the function")
