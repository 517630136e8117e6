"""Which steps stream into each other, and what has to be kept whole in between."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from osiris.core.planning.graph import sort
from osiris.core.planning.plan import Edge, PlannedStep, Stage

__all__ = ["choose_kinds", "make_stages"]


def choose_kinds(
    order: Sequence[PlannedStep], edges: Sequence[Edge], needs: Mapping[str, Collection[str]]
) -> list[Edge]:
    """The edges with their kinds chosen.

    An edge streams where it is the only use of its producer's ``df``, the consumer reads streams and does not also
    need the producer's end, and both can be in one stage without that stage waiting for itself.

    Args:
        order: The steps, each after those it waits for.
        edges: All uses of all outputs.
        needs: The steps whose end each step needs by its own word.
    """
    wanted = _could_stream(order, edges, needs)
    level = _levels(order, wanted)
    return [
        replace(edge, kind="stream")
        if wanted.get(edge.producer) == edge.consumer and level[edge.producer] == level[edge.consumer]
        else edge
        for edge in edges
    ]


def make_stages(order: Sequence[PlannedStep], edges: Sequence[Edge]) -> tuple[Stage, ...]:
    """The groups of steps that ``stream`` edges join, in an order in which they can run."""
    into = {edge.producer: edge.consumer for edge in edges if edge.kind == "stream"}
    group: dict[str, int] = {}
    groups: list[list[str]] = []
    for step in reversed(order):  # a consumer before its producers, each of which streams to it alone
        if step.id in into:
            group[step.id] = group[into[step.id]]
        else:
            group[step.id] = len(groups)
            groups.append([])
    for step in order:
        groups[group[step.id]].append(step.id)
    return _number(order, group, groups)


def _could_stream(
    order: Sequence[PlannedStep], edges: Sequence[Edge], needs: Mapping[str, Collection[str]]
) -> dict[str, str]:
    """Producer to consumer of every edge that would stream if the stages allowed it."""
    form = {step.id: step.spec.input_form for step in order}
    uses: dict[str, list[Edge]] = {}
    for edge in edges:
        uses.setdefault(edge.producer, []).append(edge)
    found = {}
    for producer, leaving in uses.items():
        of_df = [edge.consumer for edge in leaving if edge.output == "df"]
        consumer = of_df[0] if len(of_df) == 1 else None
        if consumer is None or form[consumer] != "stream" or producer in needs.get(consumer, ()):
            continue
        if sum(edge.consumer == consumer for edge in leaving) == 1:
            found[producer] = consumer
    return found


def _levels(order: Sequence[PlannedStep], wanted: Mapping[str, str]) -> dict[str, int]:
    """A level for each step, so that steps of one level may share a stage.

    A step lies above everything that must have finished before it, and not below what streams into it. So whatever
    leads from level to level leads upwards, and stages made within one level never wait for themselves.
    """
    before = {step.id: [other for other in step.after if wanted.get(other) != step.id] for step in order}
    level: dict[str, int] = {}
    for step in order:
        finished = set(before[step.id])
        level[step.id] = max((level[other] + (other in finished) for other in step.after), default=0)
    ceiling: dict[str, int] = {}
    for step in reversed(order):
        # Raise each step to the one it streams into, as far as those that wait for its end allow.
        goal = level[wanted[step.id]] if step.id in wanted else level[step.id]
        if goal <= ceiling.get(step.id, goal):
            level[step.id] = goal
        for other in before[step.id]:
            ceiling[other] = min(ceiling.get(other, level[step.id] - 1), level[step.id] - 1)
    return level


def _number(order: Sequence[PlannedStep], group: Mapping[str, int], groups: list[list[str]]) -> tuple[Stage, ...]:
    """The groups as stages, numbered in the order in which they can run; ties by their first step."""
    first_seen = {number: place for place, number in enumerate(dict.fromkeys(group[step.id] for step in order))}
    members: list[list[str]] = [[] for _ in groups]
    waits: list[set[int]] = [set() for _ in groups]
    for number, steps in enumerate(groups):
        members[first_seen[number]] = steps
    for step in order:
        own = first_seen[group[step.id]]
        waits[own].update(first_seen[group[other]] for other in step.after)
        waits[own].discard(own)
    running = sort([sorted(nodes) for nodes in waits])
    index = {node: place for place, node in enumerate(running)}
    return tuple(
        Stage(index=place, steps=tuple(members[node]), after=tuple(sorted(index[other] for other in waits[node])))
        for place, node in enumerate(running)
    )
