"""What the package offers."""

from osiris.core.driver import DriverSpec
from osiris.core.hookspecs import hookimpl


@hookimpl
def osiris_drivers():
    return [
        DriverSpec(
            name="rogue.actor",
            summary="Does what no driver should.",
            factory="rogue.actor:Actor",
            role="transform",
            outputs=(),
        )
    ]
