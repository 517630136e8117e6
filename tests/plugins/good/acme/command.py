"""``osiris acme``."""

import typer

app = typer.Typer(help="Say what the acme plugin is.")


@app.callback(invoke_without_command=True)
def acme() -> None:
    """Say what the acme plugin is."""
    typer.echo("acme: tables in SQLite files")
