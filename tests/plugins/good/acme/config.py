"""The models of what users write for these drivers and this adapter."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Config(BaseModel):
    model_config = ConfigDict(extra="forbid")

    connection: str | dict = Field(description="A connection of family acme, as `@acme.main`")


class ExtractorConfig(Config):
    query: str = Field(description="The SELECT to read")


class WriterConfig(Config):
    table: str = Field(description="The table to write into; made if missing")


class AcmeOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")

    room: str = Field(default="one", description="The room to run in")
    seats: int = Field(default=1, description="How many seats it has")
    light: Literal["on", "off"] = Field(default="on", description="Whether the light is on")
