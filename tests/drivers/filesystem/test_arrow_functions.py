"""The functions of Arrow that the family calls give what pyarrow.compute gives, and do not import it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from osiris.drivers.filesystem import arrow_functions

HERE = Path(arrow_functions.__file__).parent
TEXT = pa.array(["-1.50", None, "abc.0", "", "-.x"])
WITH_OPTIONS = {
    "count_substring": (".",),
    "ends_with": (".0",),
    "find_substring": (".",),
    "match_substring": ("b",),
    "starts_with": ("-",),
    "is_in": (pa.array(["", "abc.0"]),),
    "replace_substring": (".", "::"),
    "replace_substring_regex": (r"\.0$", ""),
    "utf8_lpad": (7, "0"),
    "utf8_ltrim": ("-",),
    "utf8_slice_codeunits": (0, -2),
}


def used() -> set[str]:
    """The functions that the modules of the family call by their names."""
    texts = [path.read_text(encoding="utf-8") for path in HERE.glob("*.py")]
    ours = [text for text in texts if "import arrow_functions as pc" in text]
    return {name for text in ours for name in re.findall(r"\bpc\.([a-z_0-9]+)\(", text)}


def test_every_function_that_is_used_is_there():
    assert len(used()) > 20
    for name in used():
        assert callable(getattr(arrow_functions, name))


@pytest.mark.parametrize("name", sorted(WITH_OPTIONS))
def test_options_are_those_of_pyarrow(name):
    options = WITH_OPTIONS[name]
    if name == "is_in":  # there they have a name
        assert arrow_functions.is_in(TEXT, *options).equals(pc.is_in(TEXT, value_set=options[0]))
    else:
        assert getattr(arrow_functions, name)(TEXT, *options).equals(getattr(pc, name)(TEXT, *options))


def test_all_functions_that_take_options_are_tested():
    assert set(WITH_OPTIONS) == set(arrow_functions._OPTIONS)


def test_cast_refuses_what_would_change_a_value():
    assert arrow_functions.cast(pa.array([1, None]), pa.string()).equals(pa.array(["1", None]))
    assert arrow_functions.cast(pa.scalar("7"), pa.int64()).as_py() == 7
    with pytest.raises(pa.ArrowInvalid):
        arrow_functions.cast(pa.array([300]), pa.int8())


def test_an_unknown_function_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no function 'nonsense'"):
        _ = arrow_functions.nonsense


def test_a_csv_file_is_read_and_written_without_pyarrow_compute(tmp_path):
    # Its import takes half the time of pyarrow's own, for every run.
    rows = (
        'id,name,price,ratio,day,at,ok\n1,"a, ""b""",1.10,0.5,2024-01-31,2024-01-31 10:00:00,true\n2,,2.00,1e+16,,,\n'
    )
    (tmp_path / "rows.csv").write_text(rows, encoding="utf-8")
    code = """
import sys
from pathlib import Path
from osiris.core.engine import make_step_context
from osiris.core.execution_adapter import ExecutionContext
from osiris.drivers.filesystem.csv_extractor import CsvExtractor
from osiris.drivers.filesystem.csv_writer import CsvWriter
folder = Path(sys.argv[1])
ctx = make_step_context(ExecutionContext("s", folder / "session", base_dir=folder), "step")
found = CsvExtractor().run("read", {"path": "rows.csv"}, {}, ctx)
print(*found["df"].schema.types)
CsvWriter().run("write", {"path": "copy.csv"}, found, ctx)
print("pyarrow.compute" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    types, imported = done.stdout.splitlines()
    assert types == "int64 string decimal128(18, 2) double date32[day] timestamp[us] bool"
    assert imported == "False"
    assert (tmp_path / "copy.csv").read_text(encoding="utf-8") == rows
