"""What this distribution offers."""

from osiris.core.execution_adapter import AdapterSpec
from osiris.core.hookspecs import hookimpl


@hookimpl
def osiris_adapters() -> list[AdapterSpec]:
    """The E2B adapter."""
    return [
        AdapterSpec(
            name="e2b",
            summary="Runs the pipeline in an E2B cloud sandbox of its own.",
            factory="osiris.remote.e2b_transparent_proxy:E2BTransparentProxy",
            options_model="osiris.remote.e2b.options:E2BOptions",
            remote=True,
            capabilities=frozenset({"sandbox"}),
        )
    ]
