"""The engine: runs a plan's steps in this process. The only step loop there is.

``prepare`` makes a :class:`~osiris.core.execution_adapter.PreparedRun` of a manifest, ``run`` runs it, ``collect`` says
what it left. Inside: ``scheduler``
(which stage when), ``stage`` (steps that stream into each other), ``step`` (one driver call), ``channel`` (the bounded
pipe between two steps), ``store`` (datasets that wait for their users).
"""

from osiris.core.engine.collection import collect
from osiris.core.engine.preparation import prepare
from osiris.core.engine.report import RunReport, StepReport
from osiris.core.engine.scheduler import run
from osiris.core.engine.step_context import make_step_context
from osiris.core.engine.store import DatasetStore

__all__ = ["DatasetStore", "RunReport", "StepReport", "collect", "make_step_context", "prepare", "run"]
