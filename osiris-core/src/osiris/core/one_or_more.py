"""A list option in a config model, for which users may write a single value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # config models import pydantic; whoever only names this need not
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler

__all__ = ["OneOrMore"]


class OneOrMore:
    """Annotation: ``columns: id`` stands for ``columns: [id]``, and editors are told so.

    ::

        columns: Annotated[list[str], Field(min_length=1), OneOrMore()] = Field(description="...")

    A text or a mapping alone becomes a list of it; anything else is left to the list's own check.
    """

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        """What pydantic asks to check a value."""
        from pydantic import BeforeValidator

        return BeforeValidator(_as_list).__get_pydantic_core_schema__(source, handler)

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """What pydantic asks for the JSON Schema."""
        found = handler(schema)
        return {"anyOf": [found["items"], found]} if "items" in found else dict(found)


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str | Mapping) else value
