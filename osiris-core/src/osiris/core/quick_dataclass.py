"""``dataclass`` as in the standard library, made and filled in a third of the time.

The standard library of Python 3.11 and 3.12 compiles each method of a data class from its own piece of source: a
millisecond for a frozen one, and a run with nothing to do makes fifty of them. Here only ``__init__`` is compiled, the
others are shared; and that of a frozen class fills ``__dict__`` itself, so that a value costs no call.

What comes out is a data class for everybody: for :func:`dataclasses.replace`, :func:`dataclasses.fields`,
:func:`copy.copy`, :mod:`pickle`, and for classes that inherit from it.
"""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NoReturn

__all__ = ["dataclass"]


class _Unset:
    """Stands for an argument whose default a factory makes; read in signatures."""

    def __repr__(self) -> str:
        return "<factory>"


_UNSET = _Unset()


def _dataclass(cls: type | None = None, /, *, eq: bool = True, frozen: bool = False, kw_only: bool = False) -> Any:
    """As :func:`dataclasses.dataclass`, of which it knows the options that are used here.

    Raises:
        TypeError: A field without a default follows one that has one, or the class has an ``InitVar``.
    """
    if cls is None:
        return lambda cls: _made(cls, eq=eq, frozen=frozen, kw_only=kw_only)
    return _made(cls, eq=eq, frozen=frozen, kw_only=kw_only)


def _made(cls: type, *, eq: bool, frozen: bool, kw_only: bool) -> type:
    if any(dataclasses.is_dataclass(base) for base in cls.__mro__[1:]):  # rare, and with rules of its own
        return dataclasses.dataclass(cls, eq=eq, frozen=frozen, kw_only=kw_only)
    if cls.__doc__ is None:  # it would get its signature, found by inspecting itself: a millisecond
        cls.__doc__ = cls.__name__
    cls = dataclasses.dataclass(init=False, repr=False, eq=False, kw_only=kw_only)(cls)
    parameters: Any = cls.__dataclass_params__  # type: ignore[attr-defined]  # every data class has them
    parameters.init = parameters.repr = True
    parameters.eq, parameters.frozen = eq, frozen
    fields = dataclasses.fields(cls)
    if any("InitVar" in str(field.type) for field in vars(cls)["__dataclass_fields__"].values()):
        raise TypeError(f"{cls.__qualname__}: quick_dataclass knows no InitVar")
    compared = [field for field in fields if field.compare]
    methods: dict[str, Any] = {"__init__": _init(cls, fields, frozen=frozen), "__repr__": _repr(fields)}
    if eq:
        methods["__eq__"] = _eq(_values(compared))
        methods["__hash__"] = _hash(_values(compared)) if frozen else None
    for name, method in methods.items():
        # A class that says how it compares has a __hash__ of None of Python's making.
        if name not in cls.__dict__ or (name == "__hash__" and cls.__dict__[name] is None):
            setattr(cls, name, method)
    if frozen:
        setattr(cls, "__setattr__", _refuse_to_set)  # noqa: B010  # mypy refuses the assignment
        setattr(cls, "__delattr__", _refuse_to_delete)  # noqa: B010
    return cls


def _init(cls: type, fields: Sequence[dataclasses.Field[Any]], *, frozen: bool) -> Callable[..., None]:
    # Names that no field has: all of them are seen inside the function.
    known: dict[str, Any] = {"__name__": cls.__module__, "_UNSET": _UNSET}
    positional: list[str] = []
    named: list[str] = []
    body: list[str] = []
    for field in fields:
        name, value = field.name, field.name
        parameter = name
        if field.default is not dataclasses.MISSING:
            known[f"_DEFAULT_{name}"] = field.default
            parameter = f"{name}=_DEFAULT_{name}"
        elif field.default_factory is not dataclasses.MISSING:
            known[f"_FACTORY_{name}"] = field.default_factory
            parameter = f"{name}=_UNSET"
            value = f"_FACTORY_{name}() if {name} is _UNSET else {name}" if field.init else f"_FACTORY_{name}()"
        elif field.init and not field.kw_only and any("=" in earlier for earlier in positional):
            raise TypeError(f"{cls.__qualname__}: {name!r} has no default, but one before it has")
        if field.init:
            (named if field.kw_only else positional).append(parameter)
        elif value == name:
            continue  # has its default from the class, or its value from __post_init__
        # Past the __setattr__ that refuses, and faster than it.
        body.append(f"_OWN[{name!r}] = {value}" if frozen else f"self.{name} = {value}")
    if frozen:
        body.insert(0, "_OWN = self.__dict__")
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    parameters = ", ".join(["self", *positional, *(["*", *named] if named else [])])
    exec(f"def __init__({parameters}):\n " + "\n ".join(body or ["pass"]), known)  # noqa: S102  # names of fields only
    made: Callable[..., None] = known["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    made.__annotations__ = {field.name: field.type for field in fields if field.init} | {"return": None}
    return made


def _repr(fields: Sequence[dataclasses.Field[Any]]) -> Callable[[Any], str]:
    names = [field.name for field in fields if field.repr]

    @reprlib.recursive_repr()
    def __repr__(self: Any) -> str:  # noqa: N807  # becomes a method
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    return __repr__


def _values(fields: Sequence[dataclasses.Field[Any]]) -> Callable[[Any], Any]:
    # Always a tuple: it takes a value for equal to itself, also if that says it is not (NaN). So did the standard
    # library until 3.13; here it is the same on every Python.
    names = [field.name for field in fields]
    if len(names) > 1:
        return attrgetter(*names)
    return lambda self: tuple(getattr(self, name) for name in names)


def _eq(values: Callable[[Any], Any]) -> Callable[[Any, object], bool]:
    def __eq__(self: Any, other: object) -> bool:  # noqa: N807
        return bool(values(self) == values(other)) if type(self) is type(other) else NotImplemented

    return __eq__


def _hash(values: Callable[[Any], Any]) -> Callable[[Any], int]:
    def __hash__(self: Any) -> int:  # noqa: N807
        return hash(values(self))

    return __hash__


def _refuse_to_set(self: object, name: str, value: object) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(self: object, name: str) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    dataclass = _dataclass
