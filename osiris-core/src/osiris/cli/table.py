"""Tables: aligned columns in plain text; on a terminal, fitted to its width."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Literal, TextIO

from osiris.cli import terminal
from osiris.cli.terminal import clean

__all__ = ["write_table"]

Cell = str | tuple[str, str]
"""A text, or a text and the style it is shown in on a terminal."""


def write_table(
    titles: Sequence[str],
    cells: Sequence[Sequence[Cell]],
    *,
    right: Sequence[int] = (),
    whole: Sequence[int] = (0,),
    spare: Sequence[int] = (),
) -> None:
    """Print a table as part of the result. Without rows only the titles.

    Args:
        titles: The head.
        cells: The rows.
        right: The columns of numbers.
        whole: Those that are not broken into lines on a terminal: what stands there is copied.
        spare: Those that are left out on a terminal with no room, the first of them first.
    """
    if terminal.is_terminal(sys.stdout):
        _write_fitted(titles, cells, right, whole, spare, sys.stdout)
        return
    texts = [list(titles), *([clean(_text(cell)) for cell in row] for row in cells)]
    widths = [max(len(row[column]) for row in texts) for column in range(len(titles))]
    for row in texts:
        padded = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        terminal.write("  ".join(padded).rstrip())


_GAP = 2


def _write_fitted(
    titles: Sequence[str],
    cells: Sequence[Sequence[Cell]],
    right: Sequence[int],
    whole: Sequence[int],
    spare: Sequence[int],
    stream: TextIO,
) -> None:
    from rich.table import Table
    from rich.text import Text

    console = terminal.console(stream)
    columns = [[title, *(clean(_text(row[number])) for row in cells)] for number, title in enumerate(titles)]
    widths = _fit(columns, whole, spare, console.width)
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for number, width in widths.items():
        # The first column names the row: a name cut in two cannot be copied.
        justify: Literal["left", "right"] = "right" if number in right else "left"
        table.add_column(titles[number], justify=justify, overflow="fold", no_wrap=number == 0, width=width)
    for index, row in enumerate(cells, start=1):
        table.add_row(*(Text(columns[number][index], style=_style(row[number])) for number in widths))
    console.print(table)


def _fit(
    columns: Sequence[Sequence[str]], whole: Sequence[int], spare: Sequence[int], room: int
) -> dict[int, int | None]:
    """The width of each column that is shown; None where it hangs on what is left, and words have to be broken."""
    from rich.cells import cell_len

    wide = {number: max(map(cell_len, column)) for number, column in enumerate(columns)}
    words = {number: max(map(cell_len, " ".join(column).split()), default=0) for number, column in enumerate(columns)}
    least = {number: wide[number] if number in whole else words[number] for number in wide}
    left_out = iter(spare)
    while _sum(least) > room and (number := next(left_out, None)) is not None:
        del least[number]
    if _sum(least) > room:
        return dict.fromkeys(least)
    widths = {number: wide[number] for number in least}
    while _sum(widths) > room:
        number = max((number for number in widths if widths[number] > least[number]), key=lambda one: widths[one])
        widths[number] -= 1
    return {**widths}


def _sum(widths: Mapping[int, int]) -> int:
    return sum(widths.values()) + _GAP * (len(widths) - 1)


def _text(cell: Cell) -> str:
    return cell if isinstance(cell, str) else cell[0]


def _style(cell: Cell) -> str:
    return "" if isinstance(cell, str) else cell[1]
