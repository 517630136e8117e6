"""How the documentation becomes a site: ``nox -s docs``.

The pages are the Markdown files as they are read on a code host, wherever they lie in the checkout, so that a link
works in both places. ``docs/index.md`` is the navigation: what it does not link to is an error, as a broken link is.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "Osiris"
copyright = "the Osiris contributors, Apache-2.0"  # noqa: A001  # Sphinx calls it so
extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = ["docs/*.md", "docs/*/*.md", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md"]
nitpicky = True
myst_heading_anchors = 4  # made from headings as code hosts make them
myst_links_external_new_tab = False
highlight_language = "text"

html_theme = "furo"
html_title = "Osiris"
html_static_path: list[str] = ["site.css"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True, "top_of_page_buttons": []}


def add_navigation(app: Sphinx, name: str, source: list[str]) -> None:
    """Give each list of pages below a heading of the index its place in the navigation."""
    if name != root_doc:
        return
    parts = re.split(r"^(## .+\n)", source[0], flags=re.MULTILINE)
    for number in range(2, len(parts), 2):
        title, pages = parts[number - 1][3:].strip(), re.findall(r"\]\(([^)#:]+\.md)\)", parts[number])
        entries = "\n".join(_name(page) for page in dict.fromkeys(pages))
        if entries:
            parts[number] += f"\n```{{toctree}}\n:hidden:\n:caption: {title}\n{entries}\n```\n\n"
    source[0] = "".join(parts)


def _name(page: str) -> str:
    """What Sphinx calls the page that the index links to."""
    return "/" + os.path.normpath(Path(root_doc).parent / page).removesuffix(".md")


def add_front_door(app: Sphinx, error: Exception | None) -> None:
    """Lead from the top of the site to its first page."""
    if error is None and app.builder.format == "html":
        page = f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={root_doc}.html">\n'
        Path(app.outdir, "index.html").write_text(page, encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", add_navigation)
    app.connect("build-finished", add_front_door)
