"""What this package offers. Light: only the standard library and the contract."""

from __future__ import annotations

from osiris.core.driver import DriverSpec
from osiris.core.hookspecs import hookimpl


@hookimpl
def osiris_drivers() -> list[DriverSpec]:
    """The one driver of the family."""
    return [
        DriverSpec(
            name="logs.extractor",
            summary="Reads a web server's log in the Common Log Format",
            factory="acme_logs.extractor:Extractor",
            role="extractor",
            config_model="acme_logs.config:ExtractorConfig",
            input_form="stream",
            input_names=(),
            max_inputs=0,
            example={"path": "access.log"},
        )
    ]
