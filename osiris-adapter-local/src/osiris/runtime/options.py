"""What ``--adapter-option`` may set for the local adapter."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["LocalOptions"]


class LocalOptions(BaseModel):
    """Where the steps run on this machine; how they run is set by ``osiris run`` itself."""

    model_config = ConfigDict(extra="forbid")

    isolation: Literal["none", "process"] = Field(
        default="none",
        description="`none`: in the process that was called. `process`: in a worker process of the run's own",
    )
    cancel_patience: float = Field(
        default=10.0,
        gt=0,
        description="Seconds that a cancelled worker gets to stop by itself; then it is stopped by signals",
    )
