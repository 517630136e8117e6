"""What this package offers. Light: only the standard library and the contract."""

from osiris.core.execution_adapter import AdapterSpec
from osiris.core.hookspecs import hookimpl


@hookimpl
def osiris_adapters() -> list[AdapterSpec]:
    """The one adapter."""
    return [
        AdapterSpec(
            name="elsewhere",
            summary="Runs the pipeline in a worker process in a folder of its own.",
            factory="elsewhere_osiris.adapter:ElsewhereAdapter",
            options_model="elsewhere_osiris.options:ElsewhereOptions",
        )
    ]
