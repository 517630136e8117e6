"""The models of what users write for these drivers and this adapter."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    model_config = ConfigDict(extra="forbid")

    connection: str | dict


class ExtractorConfig(Config):
    query: str


class WriterConfig(Config):
    table: str


class AcmeOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")

    room: str = "one"
    seats: int = 1
    light: Literal["on", "off"] = "on"
