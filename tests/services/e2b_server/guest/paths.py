"""Where the paths of a sandbox are."""

from __future__ import annotations

import os
import re

HOME = "/home/user"


class Paths:
    """Where the sandbox's paths are: themselves in a root of one's own, below a folder elsewhere."""

    def __init__(self, root: str) -> None:
        """``root``: what stands before every path; empty in a root of one's own."""
        self.root = root

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
        """A command line in which the home folder stands for where it really is."""
        if not self.root:
            return text
        return re.sub(r"(?<![\w./-])/home/user(?![\w-])", lambda _: self.root + HOME, text)
