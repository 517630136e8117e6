"""A stage, run again while its policy allows: from clean inputs, after what failed was rolled back."""

from __future__ import annotations

import threading
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from osiris.core.engine.patience import bounded
from osiris.core.engine.stage import StageRun
from osiris.core.engine.state import RunState
from osiris.core.errors import OsirisError, RunCancelledError
from osiris.core.planning import RetryPolicy, Stage

if TYPE_CHECKING:
    from tenacity import RetryCallState

__all__ = ["StageAttempts"]


class StageAttempts:
    """All attempts at one stage.

    The stage is the unit: what streams together is run together again. Its inputs are datasets that were kept, and are
    kept until the last attempt; a writer commits whole or not at all. Once a step of the stage has said that
    something is there for good (``add_output``), there is no further attempt:
    it would write twice. Nor while a driver of the last one has not come back.
    """

    def __init__(self, stage: Stage, state: RunState) -> None:
        self.stage = stage
        self._state = state
        self._number = 0
        self._run = StageRun(stage, state, 1, again=state.settings.options.resume)
        self._stopped: tuple[str, str | None] | None = None
        self._woken: threading.Event | None = None

    def stop(self, reason: str, caused_by: str | None = None) -> None:
        """Stop now, and do not try again. Any thread."""
        self._stopped = (reason, caused_by)
        if self._woken is not None:
            self._woken.set()
        self._run.stop(reason, caused_by)

    def give_up(self) -> list[str]:
        """Tell how its steps ended, though it still runs; gives those whose driver does not come back."""
        return self._run.give_up()

    def execute(self) -> OsirisError | None:
        """Run the stage; None, or what its last attempt failed of."""
        retried = any(self._state.plan.by_id[step_id].policy.retry for step_id in self.stage.steps)
        try:
            return self._retry() if retried else self._run.execute()
        finally:
            self._release_inputs()

    def _retry(self) -> OsirisError | None:
        # The policy is the library's; imported only where one is asked for.
        from tenacity import Retrying, retry_if_exception

        self._woken = woken = threading.Event()  # before `_stopped` is looked at

        def sleep(seconds: float) -> None:
            woken.wait(bounded(seconds))

        retrying = Retrying(
            retry=retry_if_exception(self._is_worth_another),
            stop=self._has_enough,
            wait=self._delay,
            sleep=sleep,
            before_sleep=self._tell_retry,
            reraise=True,
        )
        with self._state.settings.cancellation.on_cancel(woken.set):
            try:
                retrying(self._attempt)
            except OsirisError as error:
                return error
        return None

    def _attempt(self) -> None:
        self._number += 1
        if self._number > 1:
            for step_id in self.stage.steps:
                self._state.report.steps[step_id].restart()
            self._run = StageRun(self.stage, self._state, self._number, again=True)
            if self._stopped is not None:
                self._run.stop(*self._stopped)
        error = self._run.execute()
        if error is not None:
            raise error

    def _policy(self, error: BaseException | None) -> RetryPolicy | None:
        """Of the step that failed."""
        step_id = error.facts.get("step_id") if isinstance(error, OsirisError) else None
        step = self._state.plan.by_id.get(step_id) if isinstance(step_id, str) else None
        return step.policy.retry if step is not None else None

    def _is_worth_another(self, error: BaseException) -> bool:
        policy = self._policy(error)
        if policy is None or not isinstance(error, OsirisError) or isinstance(error, RunCancelledError):
            return False
        if self._stopped is not None or self._state.settings.cancellation.requested:
            return False
        if self._committed() or self._run.left_behind:
            return False
        if policy.on:
            return any(fnmatchcase(error.code, pattern) for pattern in policy.on)
        return error.retryable

    def _committed(self) -> bool:
        return any(output["step_id"] in self.stage.steps for output in self._state.report.outputs)

    def _has_enough(self, state: RetryCallState) -> bool:
        policy = self._policy(_error_of(state))
        return policy is None or state.attempt_number >= policy.attempts

    def _delay(self, state: RetryCallState) -> float:
        from tenacity import wait_exponential, wait_random

        error = _error_of(state)
        policy = self._policy(error) or RetryPolicy()
        growing = wait_exponential(multiplier=policy.delay, exp_base=policy.backoff, max=policy.max_delay)
        delay = growing(state) + wait_random(0, policy.jitter)(state)
        asked_for: Any = error.facts.get("retry_after") if isinstance(error, OsirisError) else None
        return max(delay, float(asked_for)) if isinstance(asked_for, int | float) else delay

    def _tell_retry(self, state: RetryCallState) -> None:
        error = _error_of(state)
        policy = self._policy(error)
        if isinstance(error, OsirisError) and policy is not None:
            told = {
                "step_id": error.facts.get("step_id"),
                "attempt": state.attempt_number,
                "attempts": policy.attempts,
                "delay_ms": round(1000 * (state.next_action.sleep if state.next_action else 0.0), 3),
                "steps": list(self.stage.steps),
                "error": error.to_dict(),
            }
            self._state.door.log_event("step_retry", told)

    def _release_inputs(self) -> None:
        for step_id in self.stage.steps:
            for edge in self._state.plan.by_id[step_id].inputs.values():
                if edge.kind == "store":
                    self._state.store.release(edge.producer, output=edge.output)


def _error_of(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None else None
