"""The site of the documentation brings what it needs, and a mistake in a page fails the build; for ``nox -s docs``."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytest.importorskip("sphinx", reason="the documentation's tools are not installed: nox -s docs brings them")

ROOT = Path(__file__).resolve().parents[2]


def build(source: Path, site: Path) -> subprocess.CompletedProcess[str]:
    options = ["--fail-on-warning", "--keep-going", "--quiet", "-c", str(ROOT / "docs")]
    command = [sys.executable, "-m", "sphinx", *options, "-d", str(site / ".cache"), str(source), str(site)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    if "OSIRIS_SITE" in os.environ:  # built a moment ago
        return Path(os.environ["OSIRIS_SITE"])
    made = tmp_path_factory.mktemp("site")
    done = build(ROOT, made)
    assert done.returncode == 0, done.stderr
    return made


class Page(HTMLParser):
    """What a page loads, where it leads, and what can be led to."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        facts = dict(attrs)
        self.anchors |= {facts[key] for key in ("id", "name") if facts.get(key)}
        if tag == "a" and facts.get("href"):
            self.links.append(facts["href"])
        if tag == "link" and facts.get("rel") not in ("canonical", "search", "next", "prev", "index", "author"):
            self.loaded.append(facts.get("href") or "")
        if tag in ("script", "img", "iframe", "source", "video"):
            self.loaded.append(facts.get("src") or "")


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, Page]:
    return {file: Page(file) for file in sorted(site.rglob("*.html"))}


def test_every_page_is_there(site):
    for page in ROOT.glob("docs/**/*.md"):
        assert (site / page.relative_to(ROOT).with_suffix(".html")).is_file(), page
    assert "docs/index.html" in (site / "index.html").read_text(encoding="utf-8")


def test_nothing_is_loaded_from_elsewhere(site, pages):
    for file, page in pages.items():
        for url in page.loaded:
            assert not urlsplit(url).netloc, f"{file.name} loads {url}"
            if url and not url.startswith("data:"):
                assert (file.parent / unquote(urlsplit(url).path)).is_file(), f"{file.name} loads {url}"
    for sheet in site.rglob("*.css"):
        assert re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", sheet.read_text(encoding="utf-8")) == [], sheet


def test_every_link_and_anchor_leads_somewhere(site, pages):
    for file, page in pages.items():
        for url in page.links:
            parts = urlsplit(url)
            if parts.scheme or parts.netloc:
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            assert target.is_file(), f"{url} in {file.relative_to(site)}"
            if parts.fragment and target in pages:
                assert unquote(parts.fragment) in pages[target].anchors, f"{url} in {file.relative_to(site)}"


def test_searching_needs_no_server(site):
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    for word in ("checkpoint", "secret", "duckdb", "troubleshoot"):
        assert word in index
    assert (site / "search.html").is_file()


@pytest.fixture
def small(tmp_path) -> Path:
    """A documentation of two pages without a mistake."""
    folder = tmp_path / "small" / "docs"
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "docs" / "site.css", folder)
    (folder / "index.md").write_text("# Index\n\nAll.\n\n## Pages\n\n* [One](one.md): a page.\n", encoding="utf-8")
    (folder / "one.md").write_text("# One\n\n[This](#a-part), and [that](index.md).\n\n## A part\n", encoding="utf-8")
    return folder


def test_pages_without_a_mistake_are_built(small, tmp_path):
    done = build(small.parent, tmp_path / "site")
    assert done.returncode == 0, done.stderr


def test_each_mistake_fails_the_build(small, tmp_path):
    one = "# One\n\n[Page](two.md), [part](#nowhere), [part of another](index.md#elsewhere), ![picture](no-such.svg)\n"
    (small / "one.md").write_text(one, encoding="utf-8")
    (small / "three.md").write_text("# Three\n\nOutside of the navigation.\n", encoding="utf-8")
    done = build(small.parent, tmp_path / "site")
    assert done.returncode != 0
    told = [line for line in done.stderr.splitlines() if "WARNING" in line]
    assert len(told) == 5, done.stderr
    for mistake in ("two.md", "nowhere", "elsewhere", "no-such.svg", "three.md"):
        assert any(mistake in line for line in told), mistake
