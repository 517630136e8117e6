"""The second distribution with a family called ``acme``."""

from osiris.core.driver import DriverSpec
from osiris.core.hookspecs import hookimpl


@hookimpl
def osiris_drivers():
    return [DriverSpec(name="acme.extractor", summary="Another one.", factory="acme_twin.plugin:Extractor")]


class Extractor:
    def run(self, step_id, config, inputs, ctx):
        return {"df": [{"twin": 1}]}
