"""What went wrong in somebody else's code, in one line."""

from __future__ import annotations

import traceback

__all__ = ["explain_failure"]


def explain_failure(error: BaseException, *, skip: tuple[str, ...] = ("site-packages", "importlib", "<frozen")) -> str:
    """``KeyError: 'x' (transforms.py:12, in add_margin)``: the innermost frame that is the user's own.

    Args:
        error: What was raised.
        skip: Parts of file names that are not the user's.
    """
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, SyntaxError) and error.filename:
        return f"{type(error).__name__}: {error.msg} ({error.filename}:{error.lineno})"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not any(part in frame.filename for part in (*skip, __package__ or __name__))]
    own = [frame for frame in own if "/osiris/drivers/pandas/" not in frame.filename.replace("\\", "/")]
    if not own:
        return text
    return f"{text} ({own[-1].filename}:{own[-1].lineno}, in {own[-1].name})"
