"""A process that is killed while it makes its session leaves none, or one that can be resumed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from osiris.core.session import Session, list_sessions

PROGRAM = """
import os, signal, sys
from pathlib import Path
from osiris.core.manifest import manifest_from_dict
from osiris.core.planning import make_plan
from osiris.core.driver import DriverRegistry
from osiris.core.session import Session

CHANGES = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir"}
root = Path(sys.argv[1])
step = {"id": "save", "driver": "filesystem.csv_extractor", "config": {"path": "x.csv"}}
manifest = manifest_from_dict({"version": "1.0.0", "name": "p", "steps": [step]})
plan = make_plan(manifest, drivers=DriverRegistry)

def create(number, folder):
    changes = 0
    def see(event, arguments):
        nonlocal changes
        if event in CHANGES and str(arguments[0]).startswith(str(folder)):
            changes += 1
            if changes == number:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(see)
    Session.create(folder, pipeline="p", manifest=manifest, adapter="local", plan=plan)

number, code = 0, None
while code != 0:
    number += 1
    child = os.fork()
    if not child:
        create(number, root / str(number))
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL), code
print(number)
"""


def test_killed_while_the_session_is_made(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    points = int(done.stdout)
    assert points > 8
    made = 0
    for number in range(1, points + 1):
        for info in list_sessions(tmp_path / str(number)):
            assert info.status == "interrupted"
            session = Session.open(info.dir)
            assert session.manifest()["name"] == "p"
            assert (info.dir / "plan.json").is_file()
            made += 1
    assert made >= 1
