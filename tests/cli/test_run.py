"""``osiris run``: what it prints where, and how it ends."""

from __future__ import annotations

import json
import re
import signal

import pytest

from osiris.cli.summary import write_summary

NUMBERS = {"id": "make", "driver": "lab.numbers", "config": {"count": 1200}}
SAVE = {"id": "save", "driver": "lab.sink", "inputs": {"df": "${make.df}"}}
WAIT = {"id": "wait", "driver": "lab.wait"}
FAIL = {"id": "boom", "driver": "lab.fail"}

CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
STYLES = re.compile(r"\x1b\[[0-9;]*m")


def test_result_goes_to_stdout_and_story_to_stderr(lab):
    lab.pipeline(NUMBERS, SAVE)
    ended = lab("run")
    assert ended.code == 0
    assert "success: 2 of 2 steps, 1,200 rows" in ended.out
    assert "output:  out.txt (1,200 rows, 4 B)" in ended.out
    assert "session: .osiris/runs/" in ended.out
    assert "[2/2] save: 1,200 rows in" in ended.err
    assert "\x1b" not in ended.out + ended.err
    assert (lab.folder / "out.txt").read_text() == "1200"


def test_an_output_elsewhere_is_shown_by_its_url(lab):
    lab.pipeline(NUMBERS, {**SAVE, "config": {"url": "memory://b/x.csv"}})
    ended = lab("run")
    assert "output:  memory://b/x.csv (1,200 rows" in ended.out


def test_json_is_one_document_even_if_drivers_print(lab):
    lab.pipeline({"id": "shout", "driver": "lab.shout"})
    ended = lab("run", "--json")
    assert ended.code == 0
    assert ended.json()["status"] == "success"
    assert "a driver prints this" in ended.err
    assert "and a library this" in ended.err


def test_what_drivers_print_tells_no_secret(lab):
    lab.pipeline({"id": "shout", "driver": "lab.shout", "config": {"word": "${MAGIC_WORD}"}})
    ended = lab("run", "--quiet", MAGIC_WORD="open-sesame")
    assert ended.code == 0
    assert ended.err.count("word ***") == 3
    code, shown = lab.on_terminal("run", MAGIC_WORD="open-sesame").finish()
    assert code == 0
    assert CONTROLS.sub("", shown).count("word ***") == 3
    assert "sesame" not in ended.out + ended.err + shown


def test_a_function_that_closes_the_streams_does_not_close_ours(lab):
    text = "import sys\n\ndef close(df):\n    sys.stdout.close()\n    sys.stderr.close()\n    return df\n"
    lab.write("closing.py", text)
    config = {"function": "closing:close"}
    close = {"id": "close", "driver": "pandas.transform", "config": config, "inputs": {"df": "${make.df}"}}
    lab.pipeline(NUMBERS, close)
    plain, document = lab("run"), lab("run", "--json")
    assert (plain.code, document.code) == (0, 0), plain.err
    assert "success: 2 of 2 steps" in plain.out
    assert document.json()["status"] == "success"
    lab.pipeline(NUMBERS, close, {**FAIL, "needs": ["close"]})
    assert "error: step 'boom': the disk of the lab is on fire" in lab("run").err


def test_quiet_prints_nothing(lab):
    lab.pipeline(NUMBERS, SAVE)
    ended = lab("run", "--quiet")
    assert (ended.code, ended.out, ended.err) == (0, "", "")


def test_verbose_prints_events_and_tracebacks(lab):
    lab.pipeline({**FAIL, "config": {"bug": "a spanner"}})
    ended = lab("run", "-v")
    assert ended.code == 5
    assert "step_start" in ended.err
    assert "ValueError: a spanner" in ended.err
    assert 'raise ValueError(config["bug"])' in ended.err


def test_handled_failure_is_two_lines_without_traceback(lab):
    lab.pipeline(FAIL)
    ended = lab("run", "--quiet")
    assert ended.code == 5
    lines = ended.err.splitlines()
    assert lines[0] == "error: step 'boom': the disk of the lab is on fire"
    assert lines[1] == "hint: call the porter"
    assert lines[2].startswith("session: .osiris/runs/")
    assert ended.out == ""


def test_failure_as_json(lab):
    lab.pipeline(FAIL)
    ended = lab("run", "--json")
    document = ended.json()
    assert ended.code == 5
    assert document["status"] == "failed"
    assert document["error"]["code"] == "lab.fire"
    assert document["error"]["facts"]["step_id"] == "boom"


def test_params_and_other_file_name(lab):
    step = {**NUMBERS, "config": {"count": "${params.n}"}}
    lab.pipeline(step, SAVE, name="other.yaml", params={"n": {"type": "integer", "default": 1}})
    assert lab("run", "other.yaml", "-p", "n=7").code == 0
    assert (lab.folder / "out.txt").read_text() == "7"


def test_paths_are_relative_to_the_pipeline_file(lab):
    lab.write("sub/osiris.yaml", "")
    lab.pipeline(NUMBERS, SAVE, name="sub/pipeline.yaml")
    ended = lab("run", "sub/pipeline.yaml")
    assert ended.code == 0
    assert (lab.folder / "sub/out.txt").exists()
    assert (lab.folder / "sub/.osiris/runs").is_dir()


def test_session_dir_holds_the_session_folder(lab):
    lab.pipeline(NUMBERS, SAVE)
    document = lab("run", "--session-dir", "elsewhere", "--json").json()
    assert [path.name for path in (lab.folder / "elsewhere").iterdir()] == [document["session_id"]]
    assert not (lab.folder / ".osiris").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_stops_the_run_cleanly(lab, number):
    lab.pipeline(WAIT)
    process = lab.start("run", "--json")
    lab.wait_for("started")
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    document = json.loads(out)
    assert document["status"] == "cancelled"
    assert document["error"]["code"] == "run.cancelled"
    assert "stopping" in err
    assert lab("runs", "list", "--json").json()["sessions"][0]["status"] == "cancelled"


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_second_interrupt_ends_at_once(lab, options):
    lab.pipeline({**WAIT, "driver": "lab.stubborn"})
    process = lab.start("run", *options)
    lab.wait_for("started")
    process.send_signal(signal.SIGINT)
    line = ""
    while "once more to stop at once" not in line:
        line = process.stderr.readline()
        assert line, "it ended without saying so"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped at once" in err
    if options:
        document = json.loads(out)
        assert (document["status"], document["error"]["code"]) == ("cancelled", "run.cancelled")
    assert "interrupted: 0 steps finished, 1 not" in lab("runs", "show").out


def test_live_lines_on_a_narrow_terminal(lab):
    lab.pipeline(NUMBERS, SAVE)
    code, shown = lab.on_terminal("run", columns=60).finish()
    assert code == 0
    assert "2 of 2 steps" in shown
    assert shown.index("\x1b[?25l") < shown.index("\x1b[?25h"), "the cursor is not shown again"
    assert "✓" in shown
    lines = CONTROLS.sub("", shown).replace("\r", "\n").split("\n")
    assert max(len(line) for line in lines) <= 60
    assert "success: 2 of 2 steps" in CONTROLS.sub("", shown)


def test_interrupt_on_a_terminal_restores_the_cursor(lab):
    lab.pipeline(WAIT)
    running = lab.on_terminal("run")
    running.read_until("running: ")
    running.interrupt()
    code, shown = running.finish()
    assert code == 130
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
    assert "running: 0 of 1 step" in CONTROLS.sub("", shown)
    assert "once more to stop at once" in shown
    assert "error: the run was interrupted by Ctrl-C" in CONTROLS.sub("", shown)


def test_second_interrupt_on_a_terminal_takes_the_lines_away(lab):
    lab.pipeline({**WAIT, "driver": "lab.stubborn"})
    running = lab.on_terminal("run")
    running.read_until("running: ")
    lab.wait_for("started")
    running.interrupt()
    running.read_until("once more to stop at once")
    running.interrupt()
    code, shown = running.finish()
    assert code == 130
    assert shown.rindex("stopped at once") > max(shown.rindex("running: "), shown.rindex("\x1b[?25h"))
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")


def test_summary_tells_what_began_from_what_did_not(capsys):
    states = {"a": "success", "b": "aborted", "c": "failed", "d": "skipped", "e": "running"}
    steps = [
        {"id": name, "driver": "lab.fail", "status": status, "reason": "step 'c' failed", "duration_ms": 0.0}
        for name, status in states.items()
    ]
    write_summary({"status": "failed", "session_dir": "/nowhere/x", "steps": steps})
    lines = capsys.readouterr().out.splitlines()
    assert "stopped: b (step 'c' failed)" in lines
    assert "not run: d (step 'c' failed)" in lines
    assert lines[5].split() == ["e", "lab.fail", "not", "stopped", "0", "0", "B"]


def test_no_color_means_no_styles(lab):
    lab.pipeline(NUMBERS, SAVE)
    code, shown = lab.on_terminal("run", NO_COLOR="1").finish()
    assert code == 0
    assert not STYLES.search(shown)


def test_dumb_terminal_gets_plain_lines(lab):
    lab.pipeline(NUMBERS, SAVE)
    code, shown = lab.on_terminal("run", TERM="dumb").finish()
    assert code == 0
    assert "\x1b" not in shown
    assert "[1/2]" in shown


def test_more_steps_than_the_terminal_has_lines(lab):
    lab.pipeline(*({"id": f"s{n}", "driver": "lab.numbers", "config": {"count": 1}} for n in range(50)))
    code, shown = lab.on_terminal("run", rows=12).finish()
    text = CONTROLS.sub("", shown)
    assert code == 0
    assert "not shown" in text
    assert "10 more steps" in text


def test_secret_is_nowhere(lab):
    lab.write("osiris_connections.yaml", "connections: {lab: {main: {password: '${LAB_PASSWORD}'}}}")
    lab.pipeline({"id": "login", "driver": "lab.login", "config": {"connection": "@lab.main"}})
    secret = 'c4n"ary\\7!x'
    for options in (["-v"], ["--json"], []):
        ended = lab("run", *options, LAB_PASSWORD=secret)
        assert ended.code == 5
        assert "***" in ended.out + ended.err
        for form in (secret, json.dumps(secret)[1:-1], repr(secret)[1:-1]):
            assert form not in ended.out + ended.err
    shown = lab("runs", "show")
    assert secret not in shown.out


def test_env_file_goes_first_and_is_secret(lab):
    lab.write("osiris_connections.yaml", "connections: {lab: {main: {password: '${LAB_PASSWORD}'}}}")
    lab.write("my.env", "LAB_PASSWORD=from-the-file-123\n")
    lab.pipeline({"id": "login", "driver": "lab.login", "config": {"connection": "@lab.main"}})
    ended = lab("run", "--env-file", "my.env", "--json", LAB_PASSWORD="from-the-environment")
    assert ended.json()["error"]["message"] == "access denied for password ***"
    assert "from-the" not in ended.out + ended.err


def test_older_dialect_begins_paths_in_the_current_folder(lab):
    lab.write(
        "sub/old.yaml",
        """\
        oml_version: "0.1.0"
        name: old
        steps:
          - {id: make, component: lab.numbers, mode: read, config: {count: 3}}
          - {id: save, component: lab.sink, mode: write, needs: [make]}
        """,
    )
    ended = lab("run", "sub/old.yaml")
    assert ended.code == 0, ended.err
    assert (lab.folder / "out.txt").read_text() == "3"
