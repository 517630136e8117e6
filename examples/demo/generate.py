"""Make the demo's files: a year of a small web shop, the same on every machine.

120,000 orders in twelve CSV files, about 300,000 order lines in one Parquet file. While it writes, it
counts; ``check.py`` compares those numbers with what the pipeline wrote.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import random
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

HERE = Path(__file__).parent
DATA = HERE / "data"
ORDERS_A_MONTH = 10_000
ITEMS = {
    "order_id": pa.int64(),
    "line": pa.int8(),
    "product": pa.string(),
    "quantity": pa.int32(),
    "unit_price": pa.decimal128(9, 2),
}

PRICES = {
    "0007": Decimal("4.90"),
    "0042": Decimal("12.50"),
    "0101": Decimal("0.99"),
    "0230": Decimal("199.00"),
    "0815": Decimal("34.95"),
    "1e10": Decimal("7.77"),  # a product code that careless readers take for ten billion
}

MEANT = {
    "AT": "AT",
    "Austria": "AT",
    "CZ": "CZ",
    "Czechia": "CZ",
    "DE": "DE",
    "Germany": "DE",
    "PL": "PL",
    "": "unknown",
}
"""What people typed as their country, spaces and case aside, and what they meant."""


def main() -> None:
    """Write everything below ``data/``."""
    chance = random.Random(20240101)
    countries = read_countries()
    customers, products = list(countries), list(PRICES)
    DATA.mkdir(exist_ok=True)

    items = io.StringIO()
    lines = 0
    revenue: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    orders: defaultdict[tuple[str, str], int] = defaultdict(int)
    vouchers = hashlib.sha256()
    order_id = 0
    for month in range(1, 13):
        with (DATA / f"orders-2024-{month:02}.csv").open("w", newline="", encoding="utf-8") as file:
            out = csv.writer(file, lineterminator="\n")
            out.writerow(["order_id", "ordered_at", "customer_id", "voucher", "note"])
            for _ in range(ORDERS_A_MONTH):
                order_id += 1
                day, second = 1 + int(chance.random() * 28), int(chance.random() * 86_400)
                moment = f"2024-{month:02}-{day:02} {second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
                customer = chance.choice(customers)
                voucher = f"{int(chance.random() * 100_000):05}" if chance.random() < 0.2 else ""
                out.writerow([order_id, moment, customer, voucher, note(chance)])
                vouchers.update(f"{voucher}\n".encode())
                key = (countries[customer], f"2024-{month:02}")
                orders[key] += 1
                for line in range(1 + int(chance.random() * 4)):
                    product, quantity = chance.choice(products), 1 + int(chance.random() * 5)
                    items.write(f"{order_id},{line},{product},{quantity},{PRICES[product]}\n")
                    revenue[key] += quantity * PRICES[product]
                    lines += 1

    table = pc.read_csv(
        io.BytesIO(items.getvalue().encode()),
        read_options=pc.ReadOptions(column_names=list(ITEMS)),
        convert_options=pc.ConvertOptions(column_types=ITEMS),
    )
    pq.write_table(table, DATA / "order_items.parquet", row_group_size=50_000)

    expected = {
        "orders": order_id,
        "items": lines,
        "vouchers_sha256": vouchers.hexdigest(),
        "revenue": [[*key, orders[key], str(revenue[key])] for key in sorted(orders)],
    }
    (DATA / "expected.json").write_text(json.dumps(expected, indent=1), encoding="utf-8")
    print(f"made {expected['orders']:,} orders with {expected['items']:,} lines in {DATA}")


def read_countries() -> dict[str, str]:
    """The country that each customer of ``customers.csv`` meant."""
    meant = {typed.casefold(): country for typed, country in MEANT.items()}
    with (HERE / "customers.csv").open(newline="", encoding="utf-8") as file:
        return {row["customer_id"]: meant[row["country"].strip().casefold()] for row in csv.DictReader(file)}


def note(chance: random.Random) -> str:
    """What customers write: mostly nothing, sometimes commas, quotes and line breaks."""
    if chance.random() < 0.9:
        return ""
    return chance.choice(["leave at the door", 'call "Eva", please', "gift\nno invoice", "NA", "null", "3,5 kg"])


if __name__ == "__main__":
    main()
