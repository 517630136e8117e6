"""``osiris validate``: every problem of every file, in one report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from osiris.cli import failure, figures, terminal
from osiris.cli.loading import plan_pipeline
from osiris.cli.options import EnvFile, Json, Param, Profile, read_path
from osiris.cli.project import find_pipeline, find_project, parse_pairs, read_env_file
from osiris.cli.terminal import clean, tell, write
from osiris.core.errors import InvalidPipelineError, OsirisError, PluginError, Problem

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)


@app.command()
def validate(
    pipelines: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PIPELINE]...", parser=read_path, help="The files.  [default: pipeline.yaml]"),
    ] = None,
    param: Param = None,
    profile: Profile = None,
    env_file: EnvFile = None,
    as_json: Json = False,
) -> int:
    """Check pipeline files and report every problem, each as 'file:line:column: error: message'.

    Nothing runs. Exit code 0 if all files are valid, 3 if one is not.
    """
    given = {"params": parse_pairs(param, "--param"), "profile": profile, "environment": read_env_file(env_file)}
    files = pipelines or [find_pipeline(None)]
    found = {file: _check(file, given) for file in files}
    problems = [problem for (_, several) in found.values() for problem in several]
    errors = sum(problem.severity == "error" for problem in problems)
    if as_json:
        terminal.write_json(_document(found, errors))
    else:
        for problem in problems:
            failure.tell_problem(problem)
        for file, (steps, several) in found.items():
            if not any(problem.severity == "error" for problem in several):
                write(f"{clean(file)}: valid, {figures.count(steps, 'step')}")
        if errors:
            tell(f"{figures.count(errors, 'problem')} in {figures.count(_invalid(found), 'file')}")
    return InvalidPipelineError.exit_code if errors else 0


def _check(file: Path, given: dict[str, Any]) -> tuple[int, tuple[Problem, ...]]:
    """How many steps a file has, and what is wrong or worth saying."""
    try:
        planned = plan_pipeline(file, find_project(file), **given)
    except (InvalidPipelineError, PluginError) as error:
        return 0, failure.list_problems(error) or (_as_problem(error, file),)
    return len(planned.plan.steps), planned.plan.warnings


def _as_problem(error: OsirisError, file: Path) -> Problem:
    return Problem(code=error.code, message=error.message, hint=error.hint, file=str(file))


def _invalid(found: dict[Path, tuple[int, tuple[Problem, ...]]]) -> int:
    return sum(any(problem.severity == "error" for problem in several) for _, several in found.values())


def _document(found: dict[Path, tuple[int, tuple[Problem, ...]]], errors: int) -> dict[str, Any]:
    files = [
        {"file": str(file), "steps": steps, "problems": [problem.to_dict() for problem in several]}
        for file, (steps, several) in found.items()
    ]
    if not errors:
        return {"status": "success", "files": files}
    every = [problem for (_, several) in found.values() for problem in several if problem.severity == "error"]
    return {"status": "failed", "files": files, "error": InvalidPipelineError(problems=every).to_dict()}
