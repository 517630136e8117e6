"""What the options of all drivers of the family share."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["MemoryLimit", "Options", "Sql"]

Sql = Annotated[str, Field(min_length=1, pattern=r"\S")]
MemoryLimit = Annotated[str, Field(pattern=r"^\s*\d+(\.\d+)?\s*[KMGTkmgt]?i?[Bb]\s*$")]


class Options(BaseModel):
    """Nothing but the options it names."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
