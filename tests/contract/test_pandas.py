"""The pandas driver keeps the contract, tested as a stranger would test a driver of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from osiris.testing import TransformContract

FUNCTIONS = "def same(df):\n    return df\n"


class TestTransform(TransformContract):
    @pytest.fixture
    def driver_name(self) -> str:
        return "pandas.transform"

    @pytest.fixture(autouse=True)
    def functions(self, tmp_path: Path) -> None:
        (tmp_path / "contract_functions.py").write_text(FUNCTIONS, encoding="utf-8")

    @pytest.fixture
    def config(self) -> dict[str, Any]:
        return {"function": "contract_functions:same"}

    @pytest.fixture
    def failing_config(self) -> dict[str, Any]:
        return {"function": "contract_functions:no_such_function"}
