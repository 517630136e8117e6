"""The reference page against the code."""

import re
from pathlib import Path

from osiris.core.manifest import schema
from osiris.core.manifest.params import Param

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "manifest.md").read_text(encoding="utf-8")
ROOMS = ROOT / "osiris-core" / "src" / "osiris" / "core"


def codes_on_the_page() -> set[str]:
    found = set()
    for row in re.findall(r"^\| (`(?:manifest|plan)\..*?) \|", PAGE, re.MULTILINE):
        first, *others = re.findall(r"`([^`]+)`", row)
        room = first.partition(".")[0]
        found |= {first, *(room + other if other.startswith(".") else other for other in others)}
    return {code for code in found if "*" not in code} | set(re.findall(r"`(plan\.\w+)` is a warning", PAGE))


def codes_in_the_code() -> set[str]:
    text = "".join(
        path.read_text(encoding="utf-8") for room in ("manifest", "planning") for path in (ROOMS / room).glob("*.py")
    )
    built = re.findall(r'_unreadable\(file, "(\w+)"', text)
    return set(re.findall(r'"((?:manifest|plan)\.\w+)"', text)) | {f"manifest.{code}" for code in built}


def test_every_code_is_on_the_page_and_no_other() -> None:
    assert codes_on_the_page() == codes_in_the_code()


def test_every_key_is_on_the_page() -> None:
    keys = {*schema.TOP_KEYS, *schema.STEP_KEYS, *(name for name in Param.__dataclass_fields__ if name != "name")}
    assert {key for key in keys if f"`{key}`" not in PAGE} == set()
