"""Options of adapters: nothing is dropped, everything wrong is named, values are not shown."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, Field, SecretStr

from osiris.core.errors import UsageError
from osiris.core.plugins.options import bound_options, validated_options


class Options(BaseModel):  # does not forbid unknown options itself
    seats: int
    room: str = "one"
    key: SecretStr | None = Field(None, min_length=8)
    lamp: bool = Field(default=True, alias="light")


class Open(BaseModel, extra="allow"):
    seats: int = 1


def test_text_becomes_what_the_model_states():
    assert validated_options("acme", Options, {"seats": "3", "light": "no"}) == {"seats": 3, "lamp": False}
    assert validated_options("acme", Open, {"any": "x"}) == {"any": "x"}


@pytest.mark.parametrize(
    ("options", "named", "says"),
    [
        ({"seats": "1", "romo": "x"}, ["romo"], "did you mean 'room'?"),
        ({"seats": "1", "zzz": "x", "yyy": ""}, ["yyy", "zzz"], "its options are"),
        ({}, ["seats"], "Field required"),
        ({"seats": "many", "light": "dim"}, ["seats", "light"], "valid integer"),
        ({"seats": "1", "key": "s3cr3t"}, ["key"], "at least 8"),
    ],
)
def test_all_that_is_wrong_is_named(options, named, says):
    with pytest.raises(UsageError) as caught:
        validated_options("acme", Options, options)
    assert caught.value.facts["options"] == named
    told = f"{caught.value.message} {caught.value.hint}"
    assert says in told
    assert "adapter 'acme'" in told
    assert "s3cr3t" not in told


def test_a_constructor_is_a_model_too():
    def make(seats, *, room="one"):
        return seats, room

    assert bound_options("acme", make, {"seats": "3"}) == {"seats": "3"}
    assert bound_options("acme", lambda **options: options, {"any": 1}) == {"any": 1}
    assert bound_options("acme", dict, {"any": 1}) == {"any": 1}
    with pytest.raises(UsageError, match="needs option 'seats'"):
        bound_options("acme", make, {"room": "two"})
