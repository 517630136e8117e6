"""What users write under `config`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ExtractorConfig(BaseModel):
    """Options of logs.extractor."""

    model_config = ConfigDict(extra="forbid")

    path: str = Field(description="The log file")
    bad_lines: Literal["stop", "skip"] = Field(
        default="stop", description="What to do with a line that is not in the format: stop the run, or leave it out"
    )
