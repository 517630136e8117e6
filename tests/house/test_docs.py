"""What is written for people: links lead somewhere, commands exist, code runs."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from hatchling.builders.wheel import WheelBuilder

from osiris.cli.main import main

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


# What the steps of pages name without showing it.
PLACES = """
mysql: {NAME: {host: db.example.org, user: app, password: "${MYSQL_PASSWORD}", database: shop}}
supabase: {NAME: {url: https://abc.supabase.co, key: "${SUPABASE_KEY}", pg_dsn: "${SUPABASE_DSN}"}}
duckdb: {NAME: {path: shop.duckdb}}
filesystem: {NAME: {base_dir: data}}
acme: {NAME: {path: shop.db}}
"""


@pytest.fixture(scope="session")
def with_samples(tmp_path_factory):
    """An environment in which the sample packages that pages use are installed."""
    folder = tmp_path_factory.mktemp("samples")
    for name in ("good", "logs"):
        wheel = next(WheelBuilder(str(ROOT / "tests" / "plugins" / name)).build(directory=str(folder / "wheels")))
        shutil.unpack_archive(wheel, folder / "site", "zip")
    return {**os.environ, "PYTHONPATH": str(folder / "site")}


PIPELINE, STEPS = r"^(?:oml_)?version: .*\n(?:.*\n)*steps:", r"\A- id: "
SHOWN = [page for page in PAGES if any(re.search(f"{PIPELINE}|{STEPS}", c, re.MULTILINE) for c in blocks(page, "yaml"))]


@pytest.mark.parametrize("page", SHOWN, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_pipelines_and_steps_on_pages_are_valid(page, tmp_path, with_samples):
    (tmp_path / "osiris.yaml").touch()  # a project of its own
    codes = blocks(page, "yaml")
    pipelines = [code for code in codes if re.search(PIPELINE, code, re.MULTILINE)]
    pipelines += [complete(code) for code in codes if re.search(STEPS, code)]
    places = tmp_path / "osiris_connections.yaml"
    places.write_text(yaml.safe_dump(connections_for("".join(pipelines))), encoding="utf-8")
    for number, code in enumerate(pipelines, 1):
        (tmp_path / f"{number}.yaml").write_text(code, encoding="utf-8")
    done = osiris("validate", *(tmp_path / f"{number + 1}.yaml" for number in range(len(pipelines))), env=with_samples)
    assert done.returncode == 0, done.stdout + done.stderr


def complete(code: str) -> str:
    """Steps that are shown alone, as a pipeline in which what they refer to is there."""
    steps = yaml.safe_load(code)
    ids = {step["id"] for step in steps}
    before = [
        {"id": name, "driver": "filesystem.csv_extractor", "config": {"path": f"{name}.csv"}}
        for name in dict.fromkeys(re.findall(r"\$\{([a-z_]\w*)(?:\.df)?\}", code))
        if name not in ids
    ]
    return yaml.safe_dump({"version": "1.0.0", "steps": [*before, *steps]})


def connections_for(code: str) -> dict[str, dict]:
    """A connections file with the connections that are named."""
    aliases = set(re.findall(r"@(\w+)\.(\w+)", code)) | {(family, "main") for family in re.findall(r"\"@(\w+)\"", code)}
    known = yaml.safe_load(PLACES)
    return {
        family: {alias: known[family]["NAME"] for name, alias in sorted(aliases) if name == family}
        for family in sorted({family for family, _ in aliases} & set(known))
    }


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


READERS = {"json": json.loads, "toml": tomllib.loads, "yaml": yaml.safe_load}


@pytest.mark.parametrize("kind", READERS)
def test_data_on_pages_can_be_read(kind):
    found = all_blocks(kind, "")
    assert found
    for block in found:
        try:
            READERS[kind](*block.values)
        except ValueError as error:
            pytest.fail(f"{block.id}: {error}")


FILES = [
    pytest.param(page, file, code, id=f"{page.name}-{file}")
    for page in PAGES
    for file, code in re.findall(r"^```\w+ file=(\S+)\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
]


@pytest.mark.parametrize(("page", "file", "code"), FILES)
def test_code_on_pages_is_that_of_the_sample(page, file, code):
    text = (ROOT / "tests" / "plugins" / file).read_text(encoding="utf-8")
    if page.name == "writing-a-driver.md":  # where nothing is left out
        assert code == text
    assert code in text


def test_the_guide_shows_every_file_of_its_sample(root):
    folder = root / "tests" / "plugins"
    shown = {file for page, file, _ in (found.values for found in FILES) if page.name == "writing-a-driver.md"}
    there = {
        path.relative_to(folder).as_posix() for path in (folder / "logs").rglob("*.*") if "pycache" not in str(path)
    }
    assert there - shown == {"logs/acme_logs/__init__.py", "logs/acme_logs/py.typed"}


def test_the_guides_tests_pass(root, tmp_path, with_samples):
    for part in ("pyproject.toml", "tests"):
        source = root / "tests" / "plugins" / "logs" / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / part)
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(command, cwd=tmp_path, env=with_samples, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_generated_pages_say_what_the_code_says(root):
    done = subprocess.run(
        [sys.executable, "-m", "docs.generator", "--check"], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_code_that_a_test_asks_for_is_on_the_page(root):
    page = (root / "docs" / "errors.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `([\w.]+)` \|", page, re.MULTILINE))
    families = {code.split(".")[0] for code in listed} - {"driver"}
    asked = {
        code
        for file in (root / "tests").glob("[!p]*/**/test_*.py")
        for code in re.findall(r'\bcode(?:"\])? == "([a-z0-9]+\.[a-z0-9_]+)"', file.read_text(encoding="utf-8"))
    }
    assert len(asked) > 100
    made_up = {"mysql.no_table"}  # of a test that errors travel
    assert {code for code in asked - listed - made_up if code.split(".")[0] in families} == set()


def test_the_page_of_the_command_line_names_the_options_there_are(root):
    page = (root / "docs" / "cli.md").read_text(encoding="utf-8")
    told = osiris("run", "--help").stdout
    there = set(re.findall(r"(?<![\w-])--[a-z-]+", told)) - {"--help"}
    table = page.partition("## osiris run")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| (?:`-\w`, )?`(--[a-z-]+)", table, re.MULTILINE)) == there


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/**/*.md")), ids=lambda page: page.name)
def test_a_page_begins_by_saying_what_it_gives(page):
    text = re.sub(r"<!--.*?-->\s*", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    title, paragraph = re.match(r"# (.+)\n\n(.+)", text).groups()
    assert title[0].isupper() or title.startswith("pandas")
    assert re.match(r"[A-Z`*]", paragraph), paragraph
    assert not paragraph.startswith(("```", "* ", "## ")), paragraph


def test_sessions_on_pages_exist(root):
    sessions = set(re.findall(r"@nox\.session\ndef (\w+)", (root / "noxfile.py").read_text(encoding="utf-8")))
    assert {"demo", "tests", "lint", "types", "wheels", "bench"} <= sessions
    for page in PAGES:
        named = set(re.findall(r"nox (?:-R )?-s (\w+)", page.read_text(encoding="utf-8")))
        assert named <= sessions, page


def osiris(*arguments: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("osiris"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env)


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
def test_commands_on_pages_exist(command, capsys):
    assert main([*command.split(), "--help"]) == 0, capsys.readouterr().err


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
