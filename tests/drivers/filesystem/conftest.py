"""A step's context as the drivers see it, and short ways to run them."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from osiris.core.dataset import Dataset
from osiris.core.errors import DriverError
from osiris.drivers.filesystem.plugin import osiris_drivers
from osiris.testing import RecordingStepContext


class Step(RecordingStepContext):
    """A step's context, with short ways to let the drivers read and write."""

    def read(self, kind: str, path: str | list[str], **config: Any) -> Dataset:
        """What ``filesystem.<kind>_extractor`` gives for a path."""
        driver = _driver(f"filesystem.{kind}_extractor")
        return driver.run(self.step_id, {"path": path, **config}, {}, self)["df"]

    def write(self, kind: str, data: Any, path: str, **config: Any) -> Path:
        """Let ``filesystem.<kind>_writer`` write; the file."""
        driver = _driver(f"filesystem.{kind}_writer")
        assert driver.run(self.step_id, {"path": path, **config}, {"df": Dataset.of(data)}, self) == {}
        return self.base_dir / path

    def file(self, name: str, content: bytes | str) -> Path:
        """A file of the test's folder."""
        path = self.base_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def files(self) -> list[str]:
        """All files of the test's folder, hidden ones too."""
        found = (path.relative_to(self.base_dir) for path in self.base_dir.rglob("*") if path.is_file())
        return sorted(str(path) for path in found if path.parts[0] != ".session")


def _driver(name: str) -> Any:
    spec = next(spec for spec in osiris_drivers() if spec.name == name)
    module, _, attribute = spec.factory.partition(":")
    return getattr(import_module(module), attribute)()


@pytest.fixture
def step(tmp_path: Path) -> Step:
    """A step whose relative paths begin in a folder of the test's own."""
    return Step(tmp_path)


@pytest.fixture
def failing() -> Callable[[pa.Table, BaseException], Dataset]:
    """A stream that gives a table's rows and then raises."""

    def make(table: pa.Table, error: BaseException) -> Dataset:
        def batches() -> Any:
            yield from table.to_batches()
            raise error

        return Dataset(batches, table.schema)

    return make


@pytest.fixture
def raises() -> Callable[..., DriverError]:
    """Call something and expect a DriverError of a code, with a hint; the error."""

    def check(code: str, call: Callable[..., Any], *args: Any, **options: Any) -> DriverError:
        def whole() -> None:
            result = call(*args, **options)
            if isinstance(result, Dataset):
                result.table()

        with pytest.raises(DriverError) as caught:
            whole()
        assert caught.value.code == code
        assert caught.value.hint or code == "filesystem.io_error"
        return caught.value

    return check
