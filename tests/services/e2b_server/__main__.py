"""The server as a program: ``python -m e2b_server --port N``; prints its environment, ends on SIGINT or SIGTERM."""

from __future__ import annotations

import argparse
import signal
import threading

from .cloud import Options
from .server import E2BServer


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(prog="e2b_server", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="any free one by default")
    parser.add_argument("--isolation", choices=["auto", "namespaces", "paths"], default="auto")
    parser.add_argument("--python", choices=["shared", "bare"], default="shared")
    parser.add_argument("--builds", choices=["record", "run"], default="record")
    arguments = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    options = Options(python=arguments.python, builds=arguments.builds)
    with E2BServer(options=options, isolation=arguments.isolation, port=arguments.port) as server:
        for name, value in server.environment.items():
            print(f"export {name}={value}", flush=True)
        print(f"# isolation: {server.isolation}", flush=True)
        stop.wait()


if __name__ == "__main__":
    main()
