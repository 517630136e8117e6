"""``osiris compile``: a pipeline as a manifest, whatever dialect it was written in."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from osiris.cli import failure, figures, terminal
from osiris.cli.loading import load_and_plan
from osiris.cli.options import EnvFile, Json, Param, Pipeline, Profile, read_path
from osiris.cli.predecessor import find_default_profile
from osiris.cli.project import find_pipeline, find_project, parse_pairs, read_env_file
from osiris.cli.terminal import clean, tell, write
from osiris.cli.variables import find_variables
from osiris.core.errors import ExecutionError, UsageError

if TYPE_CHECKING:
    from osiris.core.manifest import Manifest

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None)


@app.command("compile")
def compile_pipeline(
    pipeline: Pipeline = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            parser=read_path,
            help="Write to FILE; - is standard output.  [default: -]",
        ),
    ] = None,
    param: Param = None,
    profile: Profile = None,
    resolve: Annotated[
        bool, typer.Option("--resolve", help="Fill in params; the result has neither params nor profiles.")
    ] = False,
    env_file: EnvFile = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite FILE if it exists.")] = False,
    as_json: Json = False,
) -> None:
    """Write a pipeline as a manifest: the form that this release is made for.

    A file of the older dialect (oml_version) becomes a manifest that does the same. The same file and options give
    the same bytes everywhere. Params and profiles are kept; values of --param and --profile become the defaults.
    Secrets stay references; comments are lost. Nothing runs; whatever is wrong with the file is reported.
    """
    from osiris.core.manifest.compiled import compile_manifest, compiled_document
    from osiris.core.planning import digest

    file = find_pipeline(pipeline)
    target = None if output is None or str(output) == "-" else output
    if target is not None:
        _refuse_target(target, file, force=force)
    project = find_project(file)
    # What the project and its variables say is kept only where it is baked in: it counts when the result runs, too.
    variables = find_variables(project, read_env_file(env_file)) if resolve else {}
    manifest, plan = load_and_plan(
        file,
        connections=None,
        params=parse_pairs(param, "--param"),
        profile=profile,
        default_profile=find_default_profile(project) if resolve else None,
        environment=variables,
        complete=resolve,
    )
    text = compile_manifest(manifest, resolve=resolve, base_dir=_base_dir(manifest, target))
    if target is not None:
        _write_file(target, text)
    failure.tell_warnings(plan.warnings)
    if as_json:
        terminal.write_json(_document(manifest, text, digest(compiled_document(manifest, resolve=resolve)), target))
    elif target is None:
        write(text.removesuffix("\n"))
    else:
        tell(f"{clean(target)}: {figures.count(len(manifest.steps), 'step')}")


def _document(manifest: Manifest, text: str, fingerprint: str, target: Path | None) -> dict[str, Any]:
    document = {
        "status": "success",
        "file": str(manifest.file),
        "dialect": "oml" if manifest.oml else "manifest",
        "sha256": manifest.origin.sha256,
        "steps": len(manifest.steps),
        "params": list(manifest.origin.params.declared),
        "fingerprint": fingerprint,
    }
    if target is None:
        return {**document, "manifest": text}
    return {**document, "output": str(target)}


def _refuse_target(target: Path, file: Path, *, force: bool) -> None:
    if target.is_dir():
        raise UsageError(f"{str(target)!r} is a folder", hint="name a file in it", code="usage.output")
    if target.exists() and file.exists() and target.samefile(file):
        raise UsageError(f"{str(target)!r} is the pipeline itself", hint="write to another file", code="usage.output")
    if target.exists() and not force:
        raise UsageError(
            f"{str(target)!r} exists", hint="add --force to overwrite it, or name another file", code="usage.exists"
        )


def _base_dir(manifest: Manifest, target: Path | None) -> str | None:
    """Where relative paths begin, seen from the result's folder; None where that folder is meant anyway.

    Those of the older dialect began in the current folder, those of a manifest begin in the folder of its file.
    """
    if target is None:
        return None
    before = Path.cwd()
    if not manifest.oml:
        before = ((manifest.file or Path()).resolve().parent / (manifest.base_dir or "")).resolve()
    try:
        found = Path(os.path.relpath(before, target.resolve().parent)).as_posix()
    except ValueError:  # another drive
        found = before.as_posix()
    return None if found == "." and manifest.base_dir is None else found


def _write_file(target: Path, text: str) -> None:
    """Put the text into place as a whole: whoever reads the file meanwhile has all of it, or what was there before."""
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        try:
            with draft.open("xb") as stream:
                stream.write(text.encode())
                stream.flush()
                os.fsync(stream.fileno())
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise ExecutionError(
            f"{str(target)!r} cannot be written: {error.strerror or error}",
            hint="check that its folder exists, who may write there, and free space",
            code="compile.unwritable",
        ) from error
