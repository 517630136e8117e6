"""What the package offers."""

from osiris.core.driver import DriverSpec
from osiris.core.hookspecs import hookimpl


@hookimpl
def osiris_drivers():
    return [
        DriverSpec(name="rubbish.source", summary="Return rubbish.", factory="rubbish.driver:Source", role="extractor"),
        DriverSpec(
            name="rubbish.sink",
            summary="Read its input.",
            factory="rubbish.driver:Sink",
            role="writer",
            input_form="stream",
            outputs=(),
        ),
    ]
