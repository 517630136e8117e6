"""What ``--adapter-option`` may set for the local adapter."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["LocalOptions"]


class LocalOptions(BaseModel):
    """The local adapter has no options; how to run is set by ``osiris run`` itself."""

    model_config = ConfigDict(extra="forbid")
