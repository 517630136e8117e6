"""Commands on pages are run as their readers would run them, and say what the page says.

A block whose first line is ```` ```bash in=NAME ```` or ```` ```console in=NAME exit=5 ```` is run in a folder that
:data:`SCENES` makes ready; blocks of one page and name share the folder and the shell. In a ``console`` block, lines
after ``$`` are commands, the others are lines of output, in which ``...`` stands for anything.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
FENCE = re.compile(r"^```(\w+)((?: \w+=\S+)*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SAMPLES = ROOT / "tests" / "plugins"


@dataclass(frozen=True)
class Block:
    """Some commands of a page, and what they say."""

    commands: tuple[str, ...]
    said: tuple[str, ...]
    exit: int


def read_scenes() -> dict[tuple[Path, str], list[Block]]:
    found: dict[tuple[Path, str], list[Block]] = defaultdict(list)
    for page in PAGES:
        for kind, words, code in FENCE.findall(page.read_text(encoding="utf-8")):
            facts = dict(word.split("=", 1) for word in words.split())
            if "in" not in facts:
                continue
            lines = code.splitlines()
            marked = [line.removeprefix("$ ") for line in lines if kind == "bash" or line.startswith("$ ")]
            said = [line for line in lines if kind == "console" and not line.startswith("$ ") and line.strip()]
            found[page, facts["in"]].append(Block(tuple(marked), tuple(said), int(facts.get("exit", "0"))))
    return found


def saved(page: Path) -> dict[str, str]:
    """The files that the page says to make, by name."""
    blocks = FENCE.findall(page.read_text(encoding="utf-8"))
    return {w.split("save=")[1].split()[0]: code for _, w, code in blocks if "save=" in w}


# What a reader has when the page gets there.


def nothing(folder: Path) -> None:
    pass


def quickstart(folder: Path) -> None:
    shutil.copytree(ROOT / "examples" / "quickstart", folder, dirs_exist_ok=True)


def changed(file: str, before: str, after: str) -> Callable[[Path], None]:
    """The quick start with another text in one file."""

    def make(folder: Path) -> None:
        quickstart(folder)
        text = (folder / file).read_text(encoding="utf-8")
        assert before in text
        (folder / file).write_text(text.replace(before, after, 1), encoding="utf-8")

    return make


def misspelt(folder: Path) -> None:
    changed("pipeline.yaml", "csv_extractor", "csv_extracter")(folder)
    file = folder / "pipeline.yaml"
    file.write_text(file.read_text().replace("inputs: {df", "input: {df"))


def rows(line: str) -> Callable[[Path], None]:
    """The quick start with one more line of orders."""

    def make(folder: Path) -> None:
        quickstart(folder)
        with (folder / "data" / "orders.csv").open("a") as file:
            file.write(line + "\n")

    return make


def typed(folder: Path) -> None:
    rows("8,007,n/a")(folder)
    file = folder / "pipeline.yaml"
    text = file.read_text().replace("orders.csv}", "orders.csv, types: {amount: number}}")
    file.write_text(text)


def shop(password: str) -> Callable[[Path], None]:
    """A pipeline on a MySQL server that is not there."""

    def make(folder: Path) -> None:
        (folder / "osiris_connections.yaml").write_text(
            f'mysql:\n  shop: {{host: 127.0.0.1, port: 1, user: app, password: "{password}", database: shop}}\n'
        )
        (folder / "pipeline.yaml").write_text(
            'version: "1.0.0"\n'
            "steps:\n"
            '  - {id: orders, driver: mysql.extractor, config: {connection: "@mysql.shop", table: orders}}\n'
            "  - id: save\n"
            "    driver: filesystem.csv_writer\n"
            "    config: {path: out/orders.csv}\n"
            '    inputs: {df: "${orders.df}"}\n'
        )

    return make


def no_server(folder: Path) -> None:
    shop("${MYSQL_PASSWORD}")(folder)
    (folder / ".env").write_text("MYSQL_PASSWORD=not-a-secret\n")


def bug(folder: Path) -> None:
    quickstart(folder)
    (folder / "rules.py").write_text("def check(df):\n    return df['no such column']\n")
    text = (folder / "pipeline.yaml").read_text()
    text = re.sub(
        r"driver: duckdb.processor\n    config: .*\n",
        "driver: pandas.transform\n    config: {function: rules:check}\n",
        text,
    )
    (folder / "pipeline.yaml").write_text(text)


def ran(
    make: Callable[[Path], None], exit_code: int, after: Callable[[Path], None] = nothing
) -> Callable[[Path], None]:
    """A folder in which the pipeline has run once already; then something may be changed."""

    def prepare(folder: Path) -> None:
        make(folder)
        done = subprocess.run([OSIRIS, "run", "-q"], cwd=folder, capture_output=True, text=True)
        assert done.returncode == exit_code, done.stderr
        after(folder)

    return prepare


def mend_and_change(folder: Path) -> None:
    shutil.copy(ROOT / "examples" / "quickstart" / "pipeline.yaml", folder)
    file = folder / "pipeline.yaml"
    file.write_text(file.read_text().replace("order by total desc", "order by total"))


def sample(name: str, then: Callable[[Path], None] = quickstart) -> Callable[[Path], None]:
    """A folder beside an installed sample package."""

    def make(folder: Path) -> None:
        wheel = next(WheelBuilder(str(SAMPLES / name)).build(directory=str(folder / ".wheels")))
        shutil.unpack_archive(wheel, folder / ".site", "zip")
        then(folder)

    return make


def log(folder: Path) -> None:
    line = '192.0.2.7 - eva [21/Nov/2026:23:59:58 +0100] "GET /a HTTP/1.1" 503 1043\n'
    (folder / "access.log").write_text(line + "?\n" + line)


OSIRIS = str(Path(sys.executable).with_name("osiris"))
NO_FILE = changed("pipeline.yaml", "data/orders.csv", "data/order.csv")
SCENES: dict[str, Callable[[Path], None]] = {
    "fresh": nothing,
    "quickstart": quickstart,
    "two-writers": nothing,
    "logs": sample("logs", log),
    "misspelt": misspelt,
    "not-installed": quickstart,
    "broken-plugin": sample("broken"),
    "no-variable": shop("${MYSQL_PASSWORD}"),
    "secret-in-clear": shop("hunter2hunter2"),
    "no-param": changed("pipeline.yaml", "steps:", "params: {since: {type: string}}\nsteps:"),
    "no-file": NO_FILE,
    "ragged": rows("008,1,2,3"),
    "text-column": rows("8,007,n/a"),
    "typed-column": typed,
    "sql": changed("pipeline.yaml", "sum(amount)", "sum(amont)"),
    "no-server": no_server,
    "bug": bug,
    "memory": quickstart,
    "timeout": quickstart,
    "failed": ran(NO_FILE, 5),
    "ended": ran(quickstart, 0),
    "changed": ran(NO_FILE, 5, mend_and_change),
}
FOUND = read_scenes()


def test_every_scene_is_on_a_page_and_every_page_has_its_scenes():
    assert {name for _, name in FOUND} == set(SCENES)


@pytest.mark.parametrize(("page", "name"), FOUND, ids=lambda value: value.stem if isinstance(value, Path) else value)
def test_what_the_page_shows_is_what_happens(page, name, tmp_path):
    folder = tmp_path / "reader"
    folder.mkdir()
    SCENES[name](folder)
    for file, text in saved(page).items():
        (folder / file).write_text(text, encoding="utf-8")
    blocks = FOUND[page, name]
    script = "".join(f"echo @@@\n{chr(10).join(block.commands)}\necho @@@$?\n" for block in blocks)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("OSIRIS_", "MYSQL_"))}
    environment |= {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(folder / ".site"),
        "COLUMNS": "200",
    }
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    parts = done.stdout.split("@@@")[1:]
    assert len(parts) == 2 * len(blocks), done.stdout
    for block, told, ended in zip(blocks, parts[::2], parts[1::2], strict=True):
        assert int(ended) == block.exit, told
        for line in block.said:
            pattern = ".*".join(re.escape(part) for part in re.sub(r"\s+", " ", line).split("..."))
            assert any(re.fullmatch(pattern, re.sub(r"\s+", " ", one)) for one in told.splitlines()), (
                f"{line}\n\n{told}"
            )
