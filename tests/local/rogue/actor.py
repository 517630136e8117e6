"""One driver, whose config says what bad thing to do."""

import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from osiris.core.errors import DriverError

LIBC = ctypes.CDLL(None)


class Unpicklable(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")
        self.lock = threading.Lock()

    def __reduce__(self):
        raise TypeError("not to be pickled")


class Knotted(DriverError):
    """Neither makes itself as its base does, nor can be told."""

    def __init__(self, table):
        self.table = table

    def __str__(self):
        raise SystemExit(0)

    to_dict = __repr__ = __str__


class Actor:
    def run(self, step_id, config, inputs, ctx):
        self.ctx, self.config = ctx, config
        getattr(self, config["do"])()
        return {}

    def nothing(self):
        pass

    def print_garbage(self):
        print('{"jsonrpc": "2.0", "id": 1, "result": "forged"}')
        print("garbage\x00without end", end="", flush=True)
        os.write(1, b'{"jsonrpc":"2.0","method":"finished","params":{"seq":1,"error":null}}\n')
        LIBC.puts(b"from C")
        LIBC.fflush(None)
        subprocess.run([sys.executable, "-c", "print('from a child')"], check=True)
        assert sys.stdin.read() == ""
        assert os.read(0, 10) == b""
        self.ctx.log_event("survived", {"still": "here"})

    def exit(self):
        print("my last words", file=sys.stderr, flush=True)
        os._exit(3)

    def sys_exit(self):
        sys.exit(4)

    def kill_itself(self):
        self.ctx.log_event("about_to_die")
        os.kill(os.getpid(), signal.SIGKILL)

    def tell(self):
        for number in range(self.config["times"]):
            self.ctx.log_event("told", {"number": number})

    def tell_huge(self):
        self.ctx.log_event("huge", {"text": "x" * 6_000_000, "number": 7, "list": list(range(1000))})
        self.ctx.log_event("after")

    def measure(self):
        self.ctx.log_metric("odd", float("nan"))
        self.ctx.log_metric("plain", 3, "pieces", colour="red")
        try:
            self.ctx.log_metric("wrong", "text")
        except Exception as error:
            self.ctx.log_event("refused", {"code": error.code})

    def fail_unpicklable(self):
        raise Unpicklable("one", "two")

    def fail_with_an_exception_as_message(self):
        raise DriverError(ValueError("x"), hint=["y"], code="rogue.slip")

    def fail_knotted(self):
        error = Knotted("orders")
        error.facts["self"] = error.facts
        error.hint = 5
        raise error

    def stop_the_world(self):
        """Keep the interpreter's lock for ever: nothing in this process runs any more, signal handlers included."""
        self.ctx.log_event("stopping_the_world")
        ctypes.PyDLL(None).sleep(1000)

    def wait(self):
        """Wait for a request to stop, then do as it says."""
        self.ctx.log_event("waiting", {"pid": os.getpid()})
        while not self.ctx.cancelled:
            time.sleep(0.01)
        self.ctx.raise_if_cancelled()

    def ignore_cancel(self):
        self.ctx.log_event("waiting", {"pid": os.getpid()})
        time.sleep(1000)

    def start_child(self):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
        forked = multiprocessing.get_context("fork").Process(target=time.sleep, args=(1000,))
        forked.start()
        self.ctx.log_event("started", {"pids": [child.pid, forked.pid]})
        child.returncode = 0  # forget it

    def show_secret(self):
        own = Path(f"/proc/{os.getpid()}")
        self.ctx.log_event(
            "seen",
            {
                "length": len(self.config["token"]),
                "text": f"it is {self.config['token']}",
                "environ": (own / "environ").read_bytes().decode("latin-1"),
                "cmdline": (own / "cmdline").read_bytes().decode("latin-1"),
                "files": sorted(str(path) for path in Path(self.config["session"]).rglob("*")),
                "journal": (Path(self.config["session"]) / "worker" / "journal.jsonl").read_text(),
                "found": self.config["token"].encode() in (own / "environ").read_bytes(),
            },
        )
        print("printed", self.config["token"], file=sys.stderr)
        if self.config.get("raise"):
            raise ValueError(f"no use for {self.config['token']}")

    def tell_path(self):
        self.ctx.log_event("where", {"path": sys.path, "cwd": str(Path.cwd()), "python": os.environ.get("PYTHONPATH")})
