"""``python -m docs.generator`` writes what is generated; with ``--check`` it only says what would change."""

from __future__ import annotations

import sys
from pathlib import Path

from docs.generator.pages import make_pages

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: list[str]) -> int:
    """Write the pages, or compare them with what is there."""
    stale = []
    for path, text in make_pages(ROOT).items():
        file = ROOT / path
        if file.exists() and file.read_text(encoding="utf-8") == text:
            continue
        stale.append(path)
        if "--check" not in arguments:
            file.write_text(text, encoding="utf-8")
    for path in stale:
        print(f"{path} says other than the code" if "--check" in arguments else f"wrote {path}")
    if stale and "--check" in arguments:
        print("run 'python -m docs.generator' and commit what it wrote")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
