"""Compare what the pipeline wrote with what ``generate.py`` counted while it made the input."""

from __future__ import annotations

import hashlib
import json
import sys
from decimal import Decimal
from pathlib import Path

import duckdb

HERE = Path(__file__).parent
OUT = HERE / "out"


def main() -> int:
    """Say what was found in each output; 1 where one is not as expected."""
    expected = json.loads((HERE / "data" / "expected.json").read_text(encoding="utf-8"))
    wanted = [(country, month, orders, Decimal(revenue)) for country, month, orders, revenue in expected["revenue"]]
    with duckdb.connect() as files, duckdb.connect(str(OUT / "shop.duckdb"), read_only=True) as shop:
        text = f"select * from read_csv('{OUT / 'revenue.csv'}', all_varchar=true)"
        from_csv = [(row[0], row[1], int(row[2]), Decimal(row[3])) for row in files.execute(text).fetchall()]
        from_table = shop.execute("select * from revenue").fetchall()
        orders, lines, revenue = files.execute(
            f"select count(*), sum(lines), sum(revenue) from '{OUT / 'orders.parquet'}'"
        ).fetchone() or (0, 0, 0)
        vouchers = hashlib.sha256()
        for (voucher,) in files.execute(f"select voucher from '{OUT / 'orders.parquet'}' order by order_id").fetchall():
            vouchers.update(f"{voucher or ''}\n".encode())

    verdicts = {
        f"out/revenue.csv     {len(from_csv)} rows": sorted(from_csv) == wanted,
        f"out/shop.duckdb     {len(from_table)} rows in table revenue": sorted(from_table) == wanted,
        f"out/orders.parquet  {orders:,} orders, {lines:,} lines, revenue {revenue:,}": (orders, lines, revenue)
        == (expected["orders"], expected["items"], sum(row[3] for row in wanted)),
        "out/orders.parquet  every voucher with its leading zeros": vouchers.hexdigest() == expected["vouchers_sha256"],
    }
    for what, right in verdicts.items():
        print(f"{'as expected' if right else 'NOT AS EXPECTED'}  {what}")
    return 0 if all(verdicts.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
