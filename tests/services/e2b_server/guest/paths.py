"""Where the paths of a sandbox are."""

from __future__ import annotations

import os
import re

HOME = "/home/user"
PRIVATE = re.compile(r"(?<![\w./-])/(?:home/user|tmp|var/tmp|opt|mnt|code)(?![\w-])[^\s:;,'\"]*")
"""A path of a sandbox's own folders, somewhere in a text."""


class Paths:
    """Where the sandbox's paths are: themselves in a root of one's own, below a folder elsewhere."""

    def __init__(self, root: str, real: tuple[str, ...] = ()) -> None:
        """``root``: what stands before every path; empty in a root of one's own. ``real``: what is where it says."""
        self.root = root
        self.real = (root, *real)

    def inside(self, path: str) -> str:
        """A path of the sandbox as this process must open it."""
        path = path.replace("~", HOME, 1) if path == "~" or path.startswith("~/") else path
        path = os.path.normpath(os.path.join(HOME, path))
        if not self.root or path == self.root or path.startswith(self.root + "/"):
            return path
        return self.root + path

    def outside(self, path: str) -> str:
        """A path of this process as the sandbox's owner knows it."""
        if self.root and (path == self.root or path.startswith(self.root + "/")):
            return path[len(self.root) :] or "/"
        return path

    def in_text(self, text: str) -> str:
        """A command line in which the sandbox's own folders stand for where they really are."""
        return PRIVATE.sub(lambda found: self.put_inside(found[0]), text) if self.root else text

    def put_inside(self, path: str) -> str:
        """One path of the sandbox as it really is."""
        return path if any(path.startswith(one) for one in self.real) else self.root + path
