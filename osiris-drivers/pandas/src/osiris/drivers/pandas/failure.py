"""What went wrong in somebody else's code, in one line."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path

__all__ = ["explain_failure"]


def explain_failure(error: BaseException) -> str:
    """``KeyError: 'x' (transforms.py:12, in add_margin)``: the innermost frame that is the user's own."""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, SyntaxError) and error.filename:
        return f"{type(error).__name__}: {error.msg} ({error.filename}:{error.lineno})"
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_users(Path(frame.filename))]
    return f"{text} ({own[-1].filename}:{own[-1].lineno}, in {own[-1].name})" if own else text


def _is_users(file: Path) -> bool:
    """Whether it is neither a package's, nor Python's, nor ours, nor compiled away."""
    if "site-packages" in file.parts or not file.is_file():
        return False
    return not any(file.is_relative_to(folder) for folder in _OTHERS)


_OTHERS = (Path(__file__).parent, Path(sysconfig.get_path("stdlib")))
