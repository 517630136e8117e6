"""Every distribution of this project that brings plugins keeps the contract of packages, as a stranger's would."""

from __future__ import annotations

import pytest

from osiris.testing import PackageContract

DISTRIBUTIONS = [
    "osiris-adapter-e2b",
    "osiris-adapter-local",
    "osiris-driver-duckdb",
    "osiris-driver-filesystem",
    "osiris-driver-mysql",
    "osiris-driver-pandas",
    "osiris-driver-supabase",
]


class TestPackage(PackageContract):
    @pytest.fixture(params=DISTRIBUTIONS)
    def distribution(self, request: pytest.FixtureRequest) -> str:
        return request.param
