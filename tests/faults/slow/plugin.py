"""What the package offers."""

from osiris.core.driver import DriverSpec
from osiris.core.hookspecs import hookimpl


@hookimpl
def osiris_drivers():
    return [
        DriverSpec(
            name="slow.pass",
            summary="Hand on every batch after a pause.",
            factory="slow.driver:Pass",
            role="transform",
            input_form="stream",
            input_names=("df",),
            min_inputs=1,
            max_inputs=1,
        )
    ]
