"""The page about the adapter says all of it."""

from __future__ import annotations

import re
from pathlib import Path

from osiris.remote.e2b.failure import KNOWN
from osiris.remote.e2b.options import E2BOptions

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "adapters" / "e2b.md").read_text(encoding="utf-8")
SOURCES = sorted((ROOT / "osiris-adapter-e2b" / "src").rglob("*.py"))
INTERNAL = {"e2b.process_gone"}
"""Never reaches a user: a worker whose end nobody knows is one that died."""


def test_every_option_is_in_the_table() -> None:
    rows = "\n".join(line for line in PAGE.splitlines() if line.startswith("| `"))
    assert [name for name in E2BOptions.model_fields if f"`{name}`" not in rows] == []


def test_every_error_is_in_the_table() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
    codes = set(re.findall(r'"(e2b\.[a-z_]+)"', text)) | {meaning.code for meaning in KNOWN.values()}
    assert len(codes) > 20
    assert sorted(code for code in codes - INTERNAL if f"`{code}`" not in PAGE) == []


def test_every_event_is_named() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
    events = set(re.findall(r'(?:tell|log_event)\(\s*"([a-z_]+)"', text))
    assert {"sandbox_created", "files_uploaded", "files_downloaded"} <= events
    assert sorted(name for name in events if f"`{name}`" not in PAGE) == []
