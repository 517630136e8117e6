"""One value where a list may stand."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import BaseModel, Field, ValidationError

from osiris.core.one_or_more import OneOrMore


class Options(BaseModel):
    names: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1), OneOrMore()]
    parts: Annotated[list[dict[str, int]], OneOrMore()] = []


def test_one_value_is_a_list_of_it():
    assert Options(names="a").names == ["a"]
    assert Options(names=["a", "b"]).names == ["a", "b"]
    assert Options(names="a", parts={"x": 1}).parts == [{"x": 1}]


@pytest.mark.parametrize("wrong", ["", [], [""], 5, None, [5], True])
def test_the_lists_own_checks_hold(wrong):
    with pytest.raises(ValidationError):
        Options(names=wrong)


def test_the_json_schema_takes_both():
    one, many = Options.model_json_schema()["properties"]["names"]["anyOf"]
    assert one == {"type": "string", "minLength": 1}
    assert many == {"type": "array", "items": one, "minItems": 1}
