"""A config that its model refuses only in the run: the values of secrets and variables are not known before."""

from __future__ import annotations

import sys

from osiris.core.errors import StepError
from osiris.core.planning import PlannedStep
from osiris.core.planning.models import in_our_words

__all__ = ["config_error"]


def config_error(step: PlannedStep, raised: BaseException) -> StepError | None:
    """Pydantic's error about the step's config in our words, without values; None where it is another error."""
    pydantic = sys.modules.get("pydantic_core")  # not loaded: nobody can have raised it
    if pydantic is None or not isinstance(raised, pydantic.ValidationError):
        return None
    model = (step.spec.config_model or "").rpartition(":")[2]
    if raised.title != model:  # about data or something else of the driver's own
        return None
    found = raised.errors(include_url=False, include_input=False, include_context=False)
    told = "; ".join(f"{'.'.join(map(str, detail['loc']))}: {in_our_words(detail['msg'])}" for detail in found)
    return StepError(
        f"step {step.id!r} ({step.driver}) was given options that it does not take: {told}",
        hint=f"look at the variables they come from, and at `osiris drivers show {step.driver}`",
        code="step.config",
        options=[str(detail["loc"][0]) for detail in found if detail["loc"]],
    )
