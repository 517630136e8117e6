"""The command itself, as ``osiris`` and as ``python -m osiris.cli``."""

import sys

from osiris.cli.garbage import look_while_starting

__all__ = ["main"]


def main() -> int:
    """Run the command line of this process; see :func:`osiris.cli.main.main`."""
    look_while_starting()  # before anything big is imported
    from osiris.cli.main import main

    return main()


if __name__ == "__main__":
    sys.exit(main())
