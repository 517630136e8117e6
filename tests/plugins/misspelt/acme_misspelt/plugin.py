"""Says ``osiris_driver`` where ``osiris_drivers`` is meant."""

from osiris.core.hookspecs import hookimpl


@hookimpl
def osiris_driver():
    return []
