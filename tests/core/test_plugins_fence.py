"""The short way through the version fence says what the long one says."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from osiris.core.errors import PluginVersionError
from osiris.core.plugins.distributions import PluginEntry
from osiris.core.plugins.fence import check_fence

NUMBERS = st.lists(st.integers(0, 3), min_size=1, max_size=4).map(lambda parts: ".".join(map(str, parts)))


def entry(requires: str) -> PluginEntry:
    return PluginEntry(
        group="osiris.drivers",
        name="acme",
        distribution="acme",
        version="1.0",
        value="acme.plugin",
        origin="",
        requires=(requires,),
    )


def passes(requires: str, core: str) -> bool:
    try:
        return check_fence(entry(requires), core) is None
    except PluginVersionError:
        return False


@settings(deadline=None, derandomize=True, max_examples=300)
@given(lower=NUMBERS, upper=NUMBERS, core=NUMBERS, turned=st.booleans())
def test_ranges(lower: str, upper: str, core: str, turned: bool) -> None:
    said = f"<{upper},>={lower}" if turned else f">={lower},<{upper}"
    assert passes(f"osiris-core{said}", core) == SpecifierSet(said).contains(core, prereleases=True)


@pytest.mark.parametrize(
    ("requires", "core", "fits"),
    [
        ("osiris-core (>=1.0,<2)", "1.4.0", True),
        ("osiris-core<2,>=1.0", "2.0.0", False),
        ("osiris-core<2,>=1.0", "1.0.0rc1", False),
        ("osiris-core<2,>=1.0", "1.1.0.dev3", True),
        ("osiris-core==1.*", "1.7", True),
        ('osiris-core>=3; extra == "x"', "1.0", False),
    ],
)
def test_forms(requires: str, core: str, fits: bool) -> None:
    assert passes(requires, core) is fits
