"""What is written for people: links lead somewhere, commands exist, code runs."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "benchmarks/README.md", *ROOT.glob("osiris-*/**/README.md")]
)
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    return [code for kind, code in FENCE.findall(page.read_text(encoding="utf-8")) if kind == language]


def all_blocks(language: str, needed: str) -> list:
    return [
        pytest.param(code, id=f"{page.relative_to(ROOT)}-{number}")
        for page in PAGES
        for number, code in enumerate(blocks(page, language), 1)
        if re.search(needed, code, re.MULTILINE)
    ]


def shell_lines() -> list[tuple[Path, str]]:
    return [
        (page, line.split(" #")[0].strip())
        for page in PAGES
        for code in blocks(page, "bash")
        for line in code.splitlines()
        if line.strip() and not line.startswith("#")
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} in {page.name}"
        assert target.is_relative_to(ROOT)
        if anchor:
            assert anchor in {slug(head) for head in heads(target)}, f"{link} in {page.name}"


def heads(page: Path) -> list[str]:
    return re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)


def slug(head: str) -> str:
    return re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-")


@pytest.mark.parametrize("code", all_blocks("yaml", r"^(?:oml_)?version: .*\n(?:.*\n)*steps:"))
def test_pipelines_on_pages_are_valid(code, tmp_path):
    path = tmp_path / "pipeline.yaml"
    path.write_text(code, encoding="utf-8")
    done = osiris("validate", path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_readmes_pipeline_is_the_example(root):
    (shown,) = [code for code in blocks(root / "README.md", "yaml") if code.startswith("version: ")]
    example = (root / "examples" / "quickstart" / "pipeline.yaml").read_text(encoding="utf-8")
    assert example.endswith(shown)
    assert shown in (root / "docs" / "quickstart.md").read_text(encoding="utf-8")


# What a program on a page may take for granted: a driver that another page registers, a project.
BEFORE = """
from osiris.core.driver import DriverRegistry
DriverRegistry().register("test.driver", type("TestDriver", (), {"run": lambda self, **given: {}})())
"""
CONNECTIONS = "connections: {mysql: {main: {host: localhost, password: '${MYSQL_PASSWORD}'}}}\n"


@pytest.mark.parametrize("code", all_blocks("python", r"\A(?:import|from) "))
def test_programs_on_pages_run(code, tmp_path):
    (tmp_path / "osiris_connections.yaml").write_text(CONNECTIONS, encoding="utf-8")
    (tmp_path / ".env").write_text("MYSQL_PASSWORD=not-a-secret\n", encoding="utf-8")
    done = subprocess.run([sys.executable, "-c", BEFORE + code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_sessions_on_pages_exist(root):
    sessions = set(re.findall(r"@nox\.session\ndef (\w+)", (root / "noxfile.py").read_text(encoding="utf-8")))
    assert {"demo", "tests", "lint", "types", "wheels", "bench"} <= sessions
    for page in PAGES:
        named = set(re.findall(r"nox (?:-R )?-s (\w+)", page.read_text(encoding="utf-8")))
        assert named <= sessions, page


def osiris(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("osiris"), *arguments], capture_output=True, text=True, check=False
    )


def commands_on_pages() -> list[str]:
    found = set()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        lines = [line for _, line in shell_lines()] + re.findall(r"`(osiris [^`]+)`", text)
        for line in lines:
            words = shlex.split(line)
            if words[:1] == ["osiris"] and len(words) > 1 and words[1].islower() and words[1].isalpha():
                deeper = words[1] in {"runs", "plugins", "drivers", "connections"} and len(words) > 2
                found.add(" ".join(words[1 : 3 if deeper else 2]))
    return sorted(found)


@pytest.mark.parametrize("command", commands_on_pages())
def test_commands_on_pages_exist(command):
    done = osiris(*command.split(), "--help")
    assert done.returncode == 0, done.stderr


def test_ci_runs_what_the_readme_names(root):
    ci = (root / ".ci" / "run").read_text(encoding="utf-8")
    readme = (root / "README.md").read_text(encoding="utf-8")
    for session in ("demo", "tests"):
        assert f"pip install nox && nox -s {session}" in readme
        assert re.search(rf"nox\" -s [a-z ]*\b{session}\b", ci), session
    assert "set -euo pipefail" in ci


def test_fragments_are_well_formed(root):
    fragments = [path for path in (root / "changelog.d").iterdir() if not path.name.startswith(".")]
    assert fragments
    for path in fragments:
        assert re.fullmatch(r"[a-z0-9]+(?:-[a-z0-9]+)*\.(?:added|changed|fixed)\.md", path.name), path.name
        text = path.read_text(encoding="utf-8").strip()
        assert text.endswith((".", "`")), path.name
        assert not text.startswith(("#", "-", "*")), path.name
        assert 5 <= len(text.split()) <= 90, path.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_pages_say_nothing_of_the_machine_they_were_written_on(page):
    found = re.findall(r"(?<![\w.])/(?:work|root|home|tmp|opt)/\S+", page.read_text(encoding="utf-8"))
    assert found == []
