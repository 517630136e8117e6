"""The pages on plugins and connections say what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from osiris.core.connections import Connections
from osiris.core.connections.publicity import PUBLIC_KEYS
from osiris.core.plugins.permission import ALLOW, DENY
from osiris.core.plugins.report import State

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = (ROOT / "docs" / "plugins.md").read_text()
CONNECTIONS = (ROOT / "docs" / "connections.md").read_text()
BLOCKS = re.findall(r"^```\w+ file=(\S+)\n(.*?)^```", PLUGINS, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(("file", "code"), BLOCKS, ids=[file for file, _ in BLOCKS])
def test_code_is_the_samples_own(file, code):
    assert code in (ROOT / "tests" / "plugins" / file).read_text()


def test_there_is_code_to_compare():
    assert {file for file, _ in BLOCKS} >= {"good/pyproject.toml", "good/acme/plugin.py", "good/acme/adapter.py"}


def test_states_and_variables_are_named():
    for state in State.__args__:
        assert f"| `{state}` |" in PLUGINS
    assert ALLOW in PLUGINS
    assert DENY in PLUGINS


def test_every_hook_is_named():
    from osiris.core import hookspecs

    for name in vars(hookspecs):
        if name.startswith("osiris_"):
            assert name in PLUGINS


def test_the_connections_file_of_the_page_is_valid(tmp_path):
    (example,) = re.findall(r"^```yaml\n(.*?)^```", CONNECTIONS, re.DOTALL | re.MULTILINE)
    (tmp_path / "osiris_connections.yaml").write_text(example)
    connections = Connections.load(tmp_path)
    assert connections.get("@mysql").alias == "primary"
    assert connections.get("@filesystem").values == {"base_dir": "data"}


def test_the_public_options_are_listed():
    listed = CONNECTIONS.partition("plainly public:")[2].partition("Where the reference")[0]
    assert set(re.findall(r"`(\w+)`", listed)) == PUBLIC_KEYS
