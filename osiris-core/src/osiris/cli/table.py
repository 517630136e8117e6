"""Tables: aligned columns in plain text; on a terminal, fitted to its width."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TextIO

from osiris.cli import terminal
from osiris.cli.terminal import clean

__all__ = ["write_table"]

Cell = str | tuple[str, str]
"""A text, or a text and the style it is shown in on a terminal."""


def write_table(titles: Sequence[str], cells: Sequence[Sequence[Cell]], *, right: Sequence[int] = ()) -> None:
    """Print a table as part of the result; ``right`` are the columns of numbers. Without rows only the titles."""
    if terminal.is_terminal(sys.stdout):
        _write_fitted(titles, cells, right, sys.stdout)
        return
    texts = [list(titles), *([clean(_text(cell)) for cell in row] for row in cells)]
    widths = [max(len(row[column]) for row in texts) for column in range(len(titles))]
    for row in texts:
        padded = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        terminal.write("  ".join(padded).rstrip())


def _write_fitted(titles: Sequence[str], cells: Sequence[Sequence[Cell]], right: Sequence[int], stream: TextIO) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column, title in enumerate(titles):
        # The first column names the row: a name cut in two cannot be copied.
        table.add_column(title, justify="right" if column in right else "left", overflow="fold", no_wrap=column == 0)
    for row in cells:
        table.add_row(*(Text(clean(_text(cell)), style=_style(cell)) for cell in row))
    terminal.console(stream).print(table)


def _text(cell: Cell) -> str:
    return cell if isinstance(cell, str) else cell[0]


def _style(cell: Cell) -> str:
    return "" if isinstance(cell, str) else cell[1]
