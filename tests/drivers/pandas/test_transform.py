"""pandas.transform: the user's function is found, called with what it expects, and its values are kept."""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from pydantic import ValidationError

from osiris.core.dataset import Dataset
from osiris.core.errors import DriverError, RunCancelledError
from osiris.drivers.pandas.config import TransformConfig
from osiris.drivers.pandas.transform import Transform
from osiris.testing import RecordingStepContext

TABLE = pa.table(
    {
        "id": pa.array([1, None, 2**53 + 1], pa.int64()),
        "price": pa.array([Decimal("1.10"), None, Decimal("12345678901234567.89")], pa.decimal128(20, 2)),
        "name": pa.array(["a", "", None], pa.string()),
    }
)


def module(ctx: Any, text: str, name: str = "steps.py") -> None:
    path: Path = ctx.base_dir / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("import pandas as pd\n" + text)


def frame(table: pa.Table = TABLE) -> pd.DataFrame:
    return Dataset.of(table).to_pandas()


def run(ctx: Any, function: str = "steps:f", inputs: dict[str, Any] | None = None, **kwargs: Any) -> pa.Table:
    config = {"function": function, "kwargs": kwargs}
    given = {"df": frame()} if inputs is None else inputs
    return Transform().run("step", config, given, ctx)["df"].table()


def test_values_come_and_go_exactly(ctx: Any) -> None:
    module(ctx, "def f(df):\n    df['more'] = df['id'] + 1\n    return df\n")
    result = run(ctx)
    assert result.select(TABLE.column_names).to_pylist() == TABLE.to_pylist()
    assert result.schema.field("id").type == pa.int64()
    assert result.schema.field("price").type == pa.decimal128(20, 2)
    assert result["more"].to_pylist() == [2, None, 2**53 + 2]


@pytest.mark.parametrize("name", ["df", "orders"])
def test_one_input_is_the_first_argument(ctx: Any, name: str) -> None:
    module(ctx, "def f(anything, *, at_least=0):\n    return anything[anything['id'] >= at_least]\n")
    assert run(ctx, inputs={name: frame()}, at_least=2)["id"].to_pylist() == [2**53 + 1]


def test_the_two_names_of_one_need_are_one_input(ctx: Any) -> None:
    module(ctx, "def f(x):\n    return x\n")
    assert run(ctx, inputs={"df_read": frame(), "df": frame()}).num_rows == 3


def test_several_inputs_and_plain_values_are_keywords(ctx: Any) -> None:
    module(
        ctx, "def f(left, right, how, suffix):\n    return left.merge(right, on='id', how=how, suffixes=('', suffix))\n"
    )
    left = pa.table({"id": [1, 2], "a": ["x", "y"]})
    inputs = {"right": frame(left), "left": frame(left), "how": "inner"}
    assert run(ctx, inputs=inputs, suffix="_r").column_names == ["id", "a", "a_r"]


def test_no_input_and_a_generator(ctx: Any) -> None:
    module(ctx, "def f(n):\n    for k in range(n):\n        yield pd.DataFrame({'k': [k]})\n")
    assert run(ctx, inputs={}, n=3)["k"].to_pylist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return df['id'].rename('x')", ["x"]),
        ("return df['id'].rename(None)", ["value"]),
        ("return {'a': [1], 'b': ['x']}", ["a", "b"]),
        ("return [{'a': 1}, {'a': 2, 'b': 'x'}]", ["a", "b"]),
        ("import pyarrow as pa\n    return pa.table({'t': [1]})", ["t"]),
        ("return df.groupby('name', as_index=True).agg(n=('id', 'count'))", ["name", "n"]),
    ],
)
def test_other_tabular_results(ctx: Any, body: str, expected: list[str]) -> None:
    module(ctx, f"def f(df):\n    {body}\n")
    assert run(ctx).column_names == expected


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ("df['x'] = 1", "pandas.bad_result", "None"),
        ("return 5", "pandas.bad_result", "int"),
        ("return 'text'", "pandas.bad_result", "str"),
        ("return df.assign(mix=pd.Series([1, 'a', None], dtype=object))", "pandas.mixed_column", "'mix'"),
        ("return df['missing']", "pandas.function_failed", "steps.py:3"),
        (
            "return df.assign(x=df['price'].astype('decimal128(38, 2)[pyarrow]') * 2)",
            "pandas.function_failed",
            "steps.py:3",
        ),
        ("raise ValueError('no good')", "pandas.function_failed", "ValueError: no good"),
        ("yield df['missing']", "pandas.function_failed", "steps.py:3"),
    ],
)
def test_what_a_function_does_wrong(ctx: Any, body: str, code: str, words: str) -> None:
    module(ctx, f"def f(df):\n    {body}\n")
    with pytest.raises(DriverError) as caught:
        run(ctx)
    assert caught.value.code == code
    assert words in str(caught.value)
    assert caught.value.hint


def test_the_users_exception_is_the_cause(ctx: Any) -> None:
    module(ctx, "def f(df):\n    return 1 / 0\n")
    with pytest.raises(DriverError) as caught:
        run(ctx)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_handled_error_passes_through(ctx: Any) -> None:
    module(
        ctx, "from osiris.core.errors import DriverError\ndef f(df):\n    raise DriverError('mine', code='acme.mine')\n"
    )
    with pytest.raises(DriverError) as caught:
        run(ctx)
    assert caught.value.code == "acme.mine"


@pytest.mark.parametrize(
    ("function", "code", "hint"),
    [
        ("stepz:f", "pandas.module_not_found", "steps"),
        ("steps:g", "pandas.function_not_found", "f"),
        ("steps:VALUE", "pandas.not_callable", ""),
        ("broken:f", "pandas.import_failed", ""),
        ("needy:f", "pandas.import_failed", ""),
        ("nothing_like_it_xyz:f", "pandas.module_not_found", ""),
        ("json:nothing", "pandas.function_not_found", ""),
    ],
)
def test_functions_that_cannot_be_had(ctx: Any, function: str, code: str, hint: str) -> None:
    module(ctx, "VALUE = 1\ndef f(df):\n    return df\n")
    module(ctx, "def f(df:\n", "broken.py")
    module(ctx, "import a_module_that_is_not_there\n", "needy.py")
    with pytest.raises(DriverError) as caught:
        run(ctx, function)
    assert caught.value.code == code
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("signature", "inputs", "kwargs"),
    [
        ("df, rate", None, {}),
        ("df", None, {"rat": 1}),
        ("", None, {}),
        ("df", {}, {}),
        ("left, right", {"left": 1, "other": 1}, {}),
        ("a, b", {"a": 1, "b": 1}, {"b": 2}),
    ],
)
def test_arguments_are_checked_before_the_call(ctx: Any, signature: str, inputs: Any, kwargs: dict[str, Any]) -> None:
    module(ctx, f"def f({signature}):\n    raise SystemExit('was called')\n")
    given = None if inputs is None else {name: frame() for name in inputs}
    with pytest.raises(DriverError) as caught:
        run(ctx, inputs=given, **kwargs)
    assert caught.value.code == "pandas.bad_arguments"


def test_two_folders_may_have_modules_of_one_name(ctx: Any, tmp_path: Path) -> None:
    before = (list(sys.path), set(sys.modules))
    contexts = [RecordingStepContext(tmp_path / name) for name in ("one", "two")]
    for number, each in enumerate(contexts):
        module(each, "from neighbour_xyz import NUMBER\ndef f(df):\n    return df.assign(n=NUMBER)\n")
        module(each, f"NUMBER = {number}\n", "neighbour_xyz.py")
    for _ in range(2):
        for number, each in enumerate(contexts):
            assert set(run(each)["n"].to_pylist()) == {number}
    assert list(sys.path) == before[0]
    assert not {"steps", "neighbour_xyz"} & set(sys.modules)


def test_a_module_beside_the_pipeline_goes_before_an_installed_one(ctx: Any) -> None:
    import colorsys

    module(ctx, "def f(df):\n    return df\n", "colorsys.py")
    assert run(ctx, "colorsys:f").num_rows == 3
    assert sys.modules["colorsys"] is colorsys


def test_packages_and_nested_names(ctx: Any) -> None:
    module(ctx, "", "mine/__init__.py")
    module(ctx, "from .rates import RATE\nclass Steps:\n    @staticmethod\n    def f(df):\n        return df.assign(r=RATE)\n", "mine/steps.py")  # fmt: skip # noqa: E501
    module(ctx, "RATE = 7\n", "mine/rates.py")
    assert set(run(ctx, "mine.steps:Steps.f")["r"].to_pylist()) == {7}


def test_an_installed_function(ctx: Any) -> None:
    assert run(ctx, "pandas:DataFrame.dropna").num_rows == 1


def test_a_changed_module_is_seen(ctx: Any) -> None:
    module(ctx, "def f(df):\n    return df\n")
    run(ctx)
    module(ctx, "def f(df):\n    return df.head(1)\n")
    assert run(ctx).num_rows == 1


def test_a_cancelled_run_calls_nothing(ctx: Any) -> None:
    module(ctx, "def f(df):\n    raise SystemExit('was called')\n")
    ctx.cancellation.request()
    with pytest.raises(RunCancelledError):
        run(ctx)


@pytest.mark.parametrize("options", [{}, {"function": "f"}, {"function": "a:b", "args": {}}, {"function": "../a:b"}])
def test_bad_options(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TransformConfig.model_validate(options)
