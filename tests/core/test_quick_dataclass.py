"""Our data classes are those of the standard library: whatever a class says, both make the same of it."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import FrozenInstanceError, field
from typing import Any, ClassVar

import pytest

from osiris.core.quick_dataclass import dataclass as quick

Decorator = Callable[..., Any]


def plain(dataclass: Decorator) -> type:
    @dataclass
    class Sample:
        first: int
        second: str = "two"
        third: list[int] = field(default_factory=list)

    return Sample


def frozen(dataclass: Decorator) -> type:
    @dataclass(frozen=True)
    class Sample:
        first: int
        second: str = "two"
        third: tuple[int, ...] = field(default_factory=tuple)
        names: ClassVar[dict[str, int]] = {}

    return Sample


def keywords(dataclass: Decorator) -> type:
    @dataclass(frozen=True, kw_only=True)
    class Sample:
        third: tuple[int, ...] = ()
        first: int  # after one with a default: only by keyword
        second: str = field(default="two", repr=False, compare=False)

    return Sample


def one_field(dataclass: Decorator) -> type:
    @dataclass(frozen=True)
    class Sample:
        first: Any

    return Sample


def no_field(dataclass: Decorator) -> type:
    @dataclass(frozen=True)
    class Sample:
        """Nothing."""

    return Sample


def inherited(dataclass: Decorator) -> type:
    @dataclass(frozen=True)
    class Base:
        first: int
        second: str = "base"

    @dataclass(frozen=True, kw_only=True)
    class Sample(Base):
        third: tuple[int, ...] = (3,)

    return Sample


def after_init(dataclass: Decorator) -> type:
    @dataclass
    class Sample:
        first: int
        second: int = field(init=False)
        third: list[int] = field(default_factory=list, init=False)
        fourth: int = field(default=4, init=False)

        def __post_init__(self) -> None:
            self.second = self.first + 1

    return Sample


def own_methods(dataclass: Decorator) -> type:
    @dataclass(frozen=True)
    class Sample:
        first: int
        second: int = 2

        def __repr__(self) -> str:
            return f"<{self.first}>"

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Sample) and other.first == self.first

    return Sample


def own_hash(dataclass: Decorator) -> type:
    @dataclass(frozen=True)
    class Sample:
        first: int
        second: int = 2

        def __hash__(self) -> int:
            return 7

    return Sample


def named_as_what_makes_it(dataclass: Decorator) -> type:
    @dataclass(frozen=True)
    class Sample:
        first: int
        state: str = "state"
        values: tuple[int, ...] = field(default_factory=tuple)
        cls: str = "cls"
        field: str = "field"

    return Sample


def by_identity(dataclass: Decorator) -> type:
    @dataclass(eq=False)
    class Sample:
        first: int

    return Sample


SAMPLES = [
    plain,
    frozen,
    keywords,
    one_field,
    no_field,
    inherited,
    after_init,
    own_methods,
    own_hash,
    named_as_what_makes_it,
    by_identity,
]
ARGUMENTS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((), {}),
    ((1,), {}),
    ((1, "zwei"), {}),
    ((1, 2, 3, 4), {}),
    ((), {"first": 1}),
    ((), {"first": 1, "second": "zwei"}),
    ((1,), {"third": (1, 2)}),
    ((), {"first": 1, "third": (1, 2)}),
    ((1,), {"first": 1}),
    ((1,), {"fifth": 5}),
    (([1],), {}),
]


def tried(action: Callable[[], Any]) -> Any:
    """What comes out, or how it fails, in a form that both can be compared by."""
    try:
        return action()
    except (TypeError, AttributeError) as error:
        return type(error), str(error)


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_instances_are_alike(sample: Callable[[Decorator], type], arguments: Any) -> None:
    (positional, named), seen = arguments, []
    for decorator in (quick, dataclasses.dataclass):
        cls: Any = sample(decorator)
        made = tried(lambda cls=cls: cls(*positional, **named))
        if not dataclasses.is_dataclass(made):
            seen.append(made)
            continue
        other = cls(*positional, **named)
        seen.append(
            [
                repr(made),
                made == other,
                made != other,
                made == made,
                made == object(),
                tried(lambda made=made, other=other: "equal" if hash(made) == hash(other) else "differ"),
                dataclasses.asdict(made),
                vars(made),
                repr(copy.copy(made)),
                repr(copy.deepcopy(made)),
                tried(lambda made=made: repr(dataclasses.replace(made, first=3))),
                tried(lambda made=made: setattr(made, "first", 9)),
                tried(lambda made=made: setattr(made, "unknown", 9)),
                tried(lambda made=made: delattr(made, "first")),
                vars(made),
            ]
        )
    assert repr(seen[0]) == repr(seen[1])


@pytest.mark.parametrize("sample", [plain, one_field])
def test_what_holds_nan_is_equal_to_itself(sample: Callable[[Decorator], type]) -> None:
    """On every Python: the standard library has given this up in 3.13."""
    first, second = sample(quick)(first=float("nan")), sample(quick)(first=float("nan"))
    assert first == first
    assert first != second


@pytest.mark.parametrize("sample", SAMPLES)
def test_classes_are_alike(sample: Callable[[Decorator], type]) -> None:
    ours, theirs = sample(quick), sample(dataclasses.dataclass)

    assert str(inspect.signature(ours)) == str(inspect.signature(theirs))
    assert repr(dataclasses.fields(ours)) == repr(dataclasses.fields(theirs))  # type: ignore[arg-type]
    assert repr(vars(ours)["__dataclass_params__"]) == repr(vars(theirs)["__dataclass_params__"])
    assert ours.__init__.__qualname__ == theirs.__init__.__qualname__  # type: ignore[misc]
    assert (ours.__hash__ is None) is (theirs.__hash__ is None)
    assert ours.__match_args__ == theirs.__match_args__  # type: ignore[attr-defined]


def test_a_default_before_a_field_without_one_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Sample: 'second' has no default, but one before it has"):

        @quick
        class Sample:
            first: int = 1
            second: int  # type: ignore[misc]


def test_a_class_of_the_standard_library_inherits_from_ours() -> None:
    @quick(frozen=True)
    class Base:
        first: int

    @dataclasses.dataclass(frozen=True)
    class Child(Base):  # what a plugin of somebody else's does
        second: int = 2

    assert Child(1) == Child(1, 2)
    assert repr(Child(1)).endswith("Child(first=1, second=2)")
    with pytest.raises(FrozenInstanceError):
        Child(1).second = 3  # type: ignore[misc]


def test_what_it_does_not_know_is_refused() -> None:
    with pytest.raises(TypeError, match="knows no InitVar"):

        @quick
        class Sample:
            first: dataclasses.InitVar[int]


def test_abstract_classes_stay_abstract() -> None:
    @quick
    class Sample(ABC):
        first: int

        @abstractmethod
        def work(self) -> None: ...

    with pytest.raises(TypeError, match="abstract"):
        Sample(1)  # type: ignore[abstract]


def test_one_that_holds_itself_has_a_text() -> None:
    cls = plain(quick)
    sample = cls(1)
    sample.third.append(sample)

    assert repr(sample).endswith("Sample(first=1, second='two', third=[...])")


@quick(frozen=True)
class Pickled:
    first: int
    second: list[int] = field(default_factory=list)


def test_pickled_and_back() -> None:
    assert pickle.loads(pickle.dumps(Pickled(1, [2]))) == Pickled(1, [2])  # our own
