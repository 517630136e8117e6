"""The scanner in each way in which it is compiled: with the newest instructions of the processor, and without."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from programs import need

from osiris.csv_scan import Column
from osiris.csv_scan.library import SLACK, Scanner

SOURCE = Path(__file__).resolve().parents[2] / "osiris-csv-scan" / "native" / "scan.c"
WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Werror"]


class Result:
    """What was found in some records."""

    def __init__(self, scanner: Scanner, answer: int) -> None:
        self.answer = answer
        self.exact = [bool(one) for one in scanner.exact]
        self.seen = scanner.seen


Scan = Callable[..., Result]


@pytest.fixture(scope="session", params=["", "OLDER", "PORTABLE"], ids=["newest", "older", "portable"])
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library, compiled with every warning an error."""
    made = tmp_path_factory.mktemp("library") / "scan.so"
    defined = [f"-D{request.param}"] if request.param else []
    command = [need("cc"), "-std=c11", "-O2", *WARNINGS, *defined, "-shared", "-fPIC", str(SOURCE), "-o", str(made)]
    subprocess.run(command, check=True)
    return made


@pytest.fixture(scope="session")
def scan(library: Path) -> Scan:
    """``scan(data, columns, delimiter=",", quote='"', null_values=("",))``, over records of bytes."""

    def scan(data: bytes, columns: Sequence[Column], **options: Any) -> Result:
        scanner = Scanner(columns, **{"delimiter": ",", "quote": '"', "null_values": ("",)} | options, path=library)
        # What stands behind must not matter: here it is what would.
        room = ctypes.create_string_buffer((data + b'"\r\n0,' * SLACK)[: len(data) + SLACK], len(data) + SLACK)
        return Result(scanner, scanner.scan(ctypes.addressof(room), len(data)))

    return scan
