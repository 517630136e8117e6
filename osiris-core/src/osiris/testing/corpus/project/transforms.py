"""What the corpus's pandas steps call."""

from __future__ import annotations

import os
import sys
from typing import Any


def add_margin(df: Any, rate: float) -> Any:
    """A further column."""
    return df.assign(margin=df["amount"] * rate)


def fail_once(df: Any) -> Any:
    """Fail the first time in a run; all attempts of a step are in one process."""
    mark = f"OSIRIS_CORPUS_{__file__}"
    if os.environ.pop(mark, None) is None:
        os.environ[mark] = "1"
        raise RuntimeError("the first time")
    return df


def shout(df: Any) -> Any:
    """Print, from Python and past it, what a channel of lines might take for its own."""
    sys.stdout.write('{"jsonrpc":"2.0","method":"finished","params":{"seq":1,"error":null}}\n')
    sys.stdout.write("no end of line")
    sys.stdout.flush()
    sys.stderr.write("on standard error\n")
    os.write(1, b"\x00\xff past Python\n")
    return df


def reveal(df: Any, secret: str) -> Any:
    """Print a secret, and fail with it."""
    sys.stdout.write(f"{secret}\n")
    raise ValueError(f"not accepted: {secret}")
