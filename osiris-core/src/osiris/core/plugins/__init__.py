"""Who is installed: adapters, driver families and other plugins, found through entry points."""

from osiris.core.plugins.catalog import Catalog
from osiris.core.plugins.distributions import PluginEntry
from osiris.core.plugins.report import PluginReport

__all__ = ["Catalog", "PluginEntry", "PluginReport"]
