"""What this distribution offers."""

from osiris.core.execution_adapter import AdapterSpec
from osiris.core.hookspecs import hookimpl


@hookimpl
def osiris_adapters() -> list[AdapterSpec]:
    """The local adapter."""
    return [
        AdapterSpec(
            name="local",
            summary="Runs the pipeline on this machine, in this process or in one of its own.",
            factory="osiris.runtime.local_adapter:LocalAdapter",
            options_model="osiris.runtime.options:LocalOptions",
        )
    ]
