"""What a connection of the family holds."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from osiris.drivers.filesystem.options import (
    Options,
)

__all__ = ["FilesystemConnection"]


class FilesystemConnection(Options):
    """A place where files are."""

    default: bool = Field(False, description="Whether `@filesystem` means this one.")
    base_dir: str = Field("", description="Folder or URL at which relative paths begin.")
    storage_options: dict[str, Any] = Field(
        {}, description="What the fsspec file system of the URL takes: key, secret, endpoint_url, ..."
    )
