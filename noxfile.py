"""Every job of this project, each with its own environment: ``nox --list`` names them.

``pip install nox`` is all that has to be there. With uv on the path its environments are made
faster; without it pip does the same.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["lint", "types", "tests", "demo"]

ROOT = Path(__file__).parent
SETTINGS = nox.project.load_toml(ROOT / "pyproject.toml")
MEMBERS = sorted(
    folder
    for pattern in SETTINGS["tool"]["uv"]["workspace"]["members"]
    for folder in ROOT.glob(pattern)
    if (folder / "pyproject.toml").exists()
)
PROJECTS = {folder: nox.project.load_toml(folder / "pyproject.toml") for folder in MEMBERS}
NAMES = {folder: settings["project"]["name"] for folder, settings in PROJECTS.items()}
PLUGINS = {settings["project"]["name"] for settings in PROJECTS.values() if "entry-points" in settings["project"]}
SCAN = ROOT / "osiris-csv-scan"
DEMO = ROOT / "examples" / "demo"

if sys.version_info < (3, 11):  # noqa: UP036  # nox itself also runs on older ones
    sys.exit(f"Osiris needs Python 3.11 or newer; nox runs on {sys.version.split()[0]}. Install nox with a newer one.")


@nox.session
def demo(session: nox.Session) -> None:
    """The main job: a real pipeline on 120,000 orders, and a check of what it wrote."""
    install_workspace(session)
    run_demo(session, DEMO)


@nox.session
def tests(session: nox.Session) -> None:
    """The tests; ``nox -s tests -- tests/core -k plan`` runs some of them."""
    install_workspace(session, *group("test"))
    session.run("python", "tests/services/programs.py")  # databases that the tests bring up
    session.run("pytest", *(session.posargs or ["-n", "auto", "--dist", "worksteal"]))


@nox.session
def kill(session: nox.Session) -> None:
    """The kill test, 200 rounds; ``OSIRIS_KILL_ROUNDS`` and ``OSIRIS_KILL_SEED`` say otherwise."""
    install_workspace(session, *group("test"))
    rounds = os.environ.get("OSIRIS_KILL_ROUNDS", "200")
    options = session.posargs or ["-n", "auto", "--dist", "worksteal"]
    session.run("pytest", "tests/faults/test_kill.py", *options, env={"OSIRIS_KILL_ROUNDS": rounds})


@nox.session
def lint(session: nox.Session) -> None:
    """Style, formatting, and who may import whom."""
    session.install(*group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    sources = os.pathsep.join(str(folder / "src") for folder in MEMBERS)
    session.run("lint-imports", "--no-cache", "--no-logo", env={"PYTHONPATH": sources})


@nox.session
def types(session: nox.Session) -> None:
    """Strict types, in every distribution, in the benchmarks and in this file."""
    install_workspace(session, *group("types"))
    session.run("mypy", *[str((folder / "src").relative_to(ROOT)) for folder in MEMBERS])
    session.run("mypy", "noxfile.py", "benchmarks", "docs/conf.py", "docs/generator")


@nox.session
def docs(session: nox.Session) -> None:
    """The site of the documentation, strictly built and checked; ``-- write`` makes the generated pages anew before."""
    install_workspace(session, *group("docs"))
    session.run("python", "-m", "docs.generator", *([] if "write" in session.posargs else ["--check"]))
    site = ROOT / "build" / "site"
    options = ["--fail-on-warning", "--keep-going", "--quiet", "--fresh-env"]
    cache = Path(session.create_tmp()) / "doctrees"
    session.run("sphinx-build", *options, "-c", "docs", "-d", cache, ".", site)
    session.run("pytest", "--noconftest", "tests/house/test_docs_site.py", env={"OSIRIS_SITE": str(site)})
    session.log(f"open {site / 'index.html'}")


@nox.session
def wheels(session: nox.Session) -> None:
    """Build every distribution, install what was built into bare environments, run the demo from there."""
    session.install("build", "pip")
    dist = ROOT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    built = {name: build(session, folder, dist) for folder, name in NAMES.items()}
    core = built["osiris-core"]
    away = fresh_folder(session)
    session.chdir(away)  # nothing of the checkout is on the path from here on

    alone = {
        name: bare_environment(session, away / name, "--no-compile", *{str(core), str(wheel)})
        for name, wheel in built.items()
    }
    for name, scripts in alone.items():
        session.run(scripts / "osiris", "--version", external=True)
        listed = session.run(scripts / "osiris", "plugins", "list", external=True, silent=True) or ""
        if name in PLUGINS and name not in listed:
            session.error(f"{name} is installed but 'osiris plugins list' does not show it:\n{listed}")

    compiled = "from osiris.csv_scan import why_not_compiled; import sys; sys.exit(why_not_compiled())"
    session.run(alone["osiris-csv-scan"] / "python", "-c", compiled, external=True)

    others = [str(wheel) for name, wheel in built.items() if name != "osiris-core"]
    complete = bare_environment(session, away / "standard", f"osiris-core[standard] @ {core.as_uri()}", *others)
    session.run("python", "-m", "pip", "--python", complete / "python", "check")
    copy = away / "demo"
    shutil.copytree(DEMO, copy, ignore=shutil.ignore_patterns("data", "out", ".osiris", "__pycache__"))
    told = session.run(
        alone["osiris-core"] / "osiris",
        "run",
        copy / "pipeline.yaml",
        external=True,
        silent=True,
        success_codes=[3, 4],
    )
    if "pip install osiris-driver-filesystem" not in (told or ""):
        session.error(f"osiris-core alone does not say what to install:\n{told}")
    run_demo(session, copy, complete)


@nox.session
def platforms(session: nox.Session) -> None:
    """Wheels of osiris-csv-scan for every platform, compiled here by zig: for a release, beside the others."""
    session.install("build")
    dist = ROOT / "dist"
    for platform in PROJECTS[SCAN]["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["platforms"]:
        session.run(
            "python", "-m", "build", "--wheel", "--outdir", dist, SCAN, env={"CSV_SCAN_PLATFORM": platform}, silent=True
        )
    for wheel in sorted(dist.glob("osiris_csv_scan-*.whl")):
        session.log(wheel.name)


@nox.session
def bench(session: nox.Session) -> None:
    """The budgets; ``nox -s bench -- cold_start noop_steps`` runs some, ``-- --full`` the big sizes too."""
    install_workspace(session, *group("bench"))
    session.run("python", "tests/services/programs.py")  # databases that benchmarks bring up
    session.run("python", "-m", "benchmarks", *session.posargs)


def group(name: str) -> list[str]:
    """The requirements of a dependency group; pip reads the groups itself only since 25.1."""
    return list(nox.project.dependency_groups(SETTINGS, name))


def install_workspace(session: nox.Session, *requirements: str) -> None:
    """Install every distribution of the workspace as users get it: built, not editable."""
    options: list[str] = []
    if session.venv_backend == "uv":
        # It would make the workspace's siblings editable, take an earlier build of an unchanged version from its
        # cache, and leave compiling to every start.
        options = ["--no-sources", "--compile-bytecode", *[f"--reinstall-package={name}" for name in NAMES.values()]]
    session.install(*options, *[f"./{folder.relative_to(ROOT)}" for folder in MEMBERS], *requirements)


def run_demo(session: nox.Session, folder: Path, scripts: Path | None = None) -> None:
    """Make the demo's files, run its pipeline, compare what it wrote with what was counted while making them."""
    python, osiris = ("python", "osiris") if scripts is None else (scripts / "python", scripts / "osiris")
    session.run(python, folder / "generate.py", external=scripts is not None)
    session.run(osiris, "run", folder / "pipeline.yaml", *session.posargs, external=scripts is not None)
    session.run(python, folder / "check.py", external=scripts is not None)


def build(session: nox.Session, folder: Path, dist: Path) -> Path:
    """Build sdist and, from the sdist, the wheel; gives the wheel."""
    before = set(dist.glob("*.whl"))
    session.run("python", "-m", "build", "--outdir", dist, folder, silent=True)
    (wheel,) = set(dist.glob("*.whl")) - before
    return wheel


def fresh_folder(session: nox.Session) -> Path:
    """An empty folder of the session's own, outside the checkout's source folders."""
    folder = Path(session.create_tmp()) / "away"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder.resolve()


def bare_environment(session: nox.Session, folder: Path, *requirements: str) -> Path:
    """A new environment with only these, as pip installs them; gives the folder of its scripts."""
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    session.run("python", "-m", "venv", "--without-pip", folder)
    session.run("python", "-m", "pip", "--python", scripts / "python", "install", "--quiet", *requirements)
    return scripts
