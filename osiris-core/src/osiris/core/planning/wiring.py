"""Which output feeds which input."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any

from osiris.core.driver import DriverSpec
from osiris.core.manifest.model import Manifest
from osiris.core.manifest.references import Reference, parse_input, unescape
from osiris.core.manifest.report import suggest
from osiris.core.manifest.schema import is_step_id
from osiris.core.planning.findings import Findings
from osiris.core.planning.plan import Edge
from osiris.core.quick_dataclass import dataclass

__all__ = ["Wiring", "wire"]


@dataclass
class Wiring:
    """The inputs of every step, in the order of the manifest.

    Attributes:
        edges: Of each step, by input name; their kind is not chosen yet.
        values: Of each step, by input name.
        needs: The steps whose end each step waits for by its own word.
    """

    edges: list[dict[str, Edge]] = field(default_factory=list)
    values: list[dict[str, Any]] = field(default_factory=list)
    needs: list[tuple[str, ...]] = field(default_factory=list)

    def after(self, index: int) -> tuple[str, ...]:
        """All steps that the step at ``index`` waits for, producers first, without repeats."""
        producers = (edge.producer for edge in self.edges[index].values())
        return tuple(dict.fromkeys([*producers, *self.needs[index]]))


def wire(manifest: Manifest, specs: Mapping[str, DriverSpec], findings: Findings) -> Wiring:
    """Connect the steps.

    Args:
        manifest: What to connect.
        specs: By driver name; steps whose driver is missing here are connected without checking names.
        findings: Takes what cannot be connected.
    """
    return _Wirer(manifest, specs, findings).wire()


class _Wirer:
    def __init__(self, manifest: Manifest, specs: Mapping[str, DriverSpec], findings: Findings) -> None:
        self.manifest = manifest
        self.specs = specs
        self.findings = findings
        self.by_id = {step["id"]: step for step in manifest["steps"]}
        ids = Counter(step["id"] for step in manifest["steps"])
        self.ambiguous = frozenset(step_id for step_id, count in ids.items() if count > 1)
        """Ids that stand twice in a draft: nobody knows which one is meant."""
        self.refused = frozenset(_refused_ids(manifest)) if "" in ids else frozenset()
        self.wiring = Wiring()

    def wire(self) -> Wiring:
        for index, step in enumerate(self.manifest["steps"]):
            edges: dict[str, Edge] = {}
            values: dict[str, Any] = {}
            for name, value in step["inputs"].items():
                reference = parse_input(value) if isinstance(value, str) else None
                if reference is None:
                    values[name] = unescape(value)
                elif reference.name not in self.ambiguous and self.exists(reference, index, name):
                    edges[name] = Edge(
                        producer=reference.name,
                        output=reference.output,
                        consumer=step["id"],
                        name=name,
                        kind="store",
                    )
            self.check_inputs(step, index)
            self.wiring.edges.append(edges)
            self.wiring.values.append(values)
            self.wiring.needs.append(tuple(dict.fromkeys(self.known_needs(step, index))))
        return self.wiring

    def exists(self, reference: Reference, index: int, name: str) -> bool:
        path = ("steps", index, "inputs", name)
        producer = self.by_id.get(reference.name)
        if reference.name in self.refused:
            return False
        if producer is None:
            message = f"{reference.text} refers to step {reference.name!r}, which does not exist"
            self.findings.note("plan.unknown_step", message, path, self.other_step(reference.name))
            return False
        if producer is self.manifest["steps"][index]:
            message = f"step {reference.name!r} uses its own output: {reference.text}"
            self.findings.note("plan.cycle", message, path, "name another step here")
            return False
        spec = self.specs.get(producer["driver"])
        if spec is None or reference.output in spec.outputs:
            return True
        if not spec.outputs:
            message = f"step {reference.name!r} ({spec.name}) only writes: it has no output to use as {reference.text}"
            self.findings.note("plan.no_output", message, path, "for order alone, name it under needs")
        else:
            message = f"step {reference.name!r} ({spec.name}) has no output {reference.output!r}"
            near = suggest(reference.output, spec.outputs)
            hint = f"did you mean {near}?" if near else f"its outputs: {', '.join(spec.outputs)}"
            self.findings.note("plan.unknown_output", message, path, hint)
        return False

    def known_needs(self, step: dict[str, Any], index: int) -> list[str]:
        known = []
        for place, need in enumerate(step["needs"]):
            if need in self.ambiguous or need in self.refused:
                continue
            if need in self.by_id:
                known.append(need)
            else:
                path = ("steps", index, "needs", place)
                message = f"step {step['id']!r} needs step {need!r}, which does not exist"
                self.findings.note("plan.unknown_step", message, path, self.other_step(need))
        return known

    def other_step(self, name: str) -> str:
        near = suggest(name, self.by_id)
        if near:
            return f"did you mean {near}?"
        ids = [step_id for step_id in self.by_id if step_id]
        return f"the steps: {', '.join(ids[:10])}{', ...' if len(ids) > 10 else ''}"

    def check_inputs(self, step: dict[str, Any], index: int) -> None:
        spec = self.specs.get(step["driver"])
        if spec is None:
            return
        given, path = step["inputs"], ("steps", index, "inputs")
        if spec.role == "extractor" and spec.input_names is None:
            known: tuple[str, ...] | None = ()
        else:
            known = spec.input_names
        unknown = [name for name in given if known is not None and name not in known]
        for name in unknown:
            if known:
                near = suggest(name, known)
                hint = f"did you mean {near}?" if near else f"its inputs: {', '.join(known)}"
            else:
                hint = "for order alone, use needs"
            message = f"{spec.name} takes no input {name!r}" if known else f"{spec.name} takes no inputs"
            self.findings.note("plan.unknown_input", message, (*path, name), hint, at_key=True)
        if unknown:
            return
        if spec.max_inputs is not None and len(given) > spec.max_inputs:
            message = f"{spec.name} takes {_inputs(spec.max_inputs)}, but gets {len(given)}: {', '.join(given)}"
            self.findings.note(
                "plan.too_many_inputs", message, path, "join them in a step before, or write each in its own step"
            )
        elif len(given) < spec.min_inputs:
            message = f"{spec.name} takes at least {_inputs(spec.min_inputs)}, but gets {len(given) or 'none'}"
            self.findings.note("plan.too_few_inputs", message, path, self.example(index, known))

    def example(self, index: int, known: tuple[str, ...] | None) -> str:
        name = known[0] if known else "df"
        steps = self.manifest["steps"]
        before = steps[index - 1]["id"] if index else "step_id"
        return f'as inputs: {{{name}: "${{{before}.df}}"}}'


def _inputs(count: int) -> str:
    return "1 input" if count == 1 else f"{count} inputs"


def _refused_ids(manifest: Manifest) -> Iterator[str]:
    """What stands in a draft where an id should: a step that is called so is there, though it may not be."""
    steps = manifest.origin.document.get("steps")
    for step in steps if isinstance(steps, list) else ():
        if isinstance(step, Mapping) and isinstance(step.get("id"), str) and not is_step_id(step["id"]):
            yield step["id"]
