"""The files that the data benchmarks read; the same for the same number of rows and the same duckdb."""

from __future__ import annotations

from pathlib import Path

from benchmarks.harness import python, run

__all__ = ["make_orders"]

_DRAW = "create macro draw(number, salt, below) as (hash(number, salt) % below)::bigint"
# Ten columns, about 110 bytes a row: integers, decimals, timestamps, codes with leading zeros, NULLs, text.
_ORDERS = """
copy (
    select i + 1 as order_id,
           draw(i, 0, 100000) as customer_id,
           timestamp '2024-01-01' + to_seconds(draw(i, 1, 31536000)) as ordered_at,
           ['new', 'paid', 'sent', 'returned'][1 + draw(i, 2, 4)] as status,
           printf('%06d', draw(i, 3, 5000)) as product,
           1 + draw(i, 4, 9) as quantity,
           (draw(i, 5, 1000000)::decimal(12, 2) / 100)::decimal(12, 2) as amount,
           case when draw(i, 6, 10) > 0 then draw(i, 6, 500) end as discount,
           ['web', 'shop', 'phone'][1 + draw(i, 7, 3)] as channel,
           'order ' || md5(i::varchar) as note
    from range({rows}) numbers(i)
) to '{path}' (header)
"""
_CUSTOMERS = """
copy (
    select i as customer_id, 'customer ' || i as name, ['AT', 'CZ', 'DE', 'PL', 'SK'][1 + draw(i, 8, 5)] as country
    from range(100000) numbers(i)
) to '{path}' (header)
"""


def make_orders(folder: Path, rows: int) -> Path:
    """Write ``orders-<rows>.csv`` and ``customers.csv``; gives the first. In a child, which needs the memory."""
    path = folder / f"orders-{rows}.csv"
    statements = [
        _DRAW,
        _ORDERS.format(rows=rows, path=path),
        _CUSTOMERS.format(path=folder / "customers.csv"),
    ]
    run(python("-c", "import duckdb, sys\nfor text in sys.argv[1:]: duckdb.execute(text)", *statements))
    return path
