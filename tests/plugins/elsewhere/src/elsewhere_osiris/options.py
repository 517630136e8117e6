"""What ``--adapter-option`` may set."""

from pydantic import BaseModel, ConfigDict, Field


class ElsewhereOptions(BaseModel):
    """Where elsewhere is."""

    model_config = ConfigDict(extra="forbid")

    python: str | None = Field(
        default=None, description="The interpreter of the environment that has the drivers; default: this process's"
    )
    root: str | None = Field(
        default=None, description="Where each run gets a folder of its own; default: the system's temporary folder"
    )
    patience: float = Field(
        default=10.0, gt=0, description="Seconds that a cancelled worker gets to stop by itself before it is killed"
    )
