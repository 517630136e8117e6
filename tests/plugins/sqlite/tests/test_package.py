"""The package is found, described and installed as it should."""

import pytest

from osiris.testing import PackageContract


class TestPackage(PackageContract):
    @pytest.fixture
    def distribution(self) -> str:
        return "sqlite-osiris"
