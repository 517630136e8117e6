"""Which steps stream into each other, and what has to be kept whole in between."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from osiris.core.planning.graph import sort
from osiris.core.planning.plan import Edge, Stage

__all__ = ["choose_kinds", "make_stages"]

After = Mapping[str, Sequence[str]]
"""The steps that each step waits for, producers too; the steps themselves in an order in which they could run."""


def choose_kinds(
    after: After,
    edges: Sequence[Edge],
    *,
    readers: Collection[str],
    needs: Mapping[str, Collection[str]],
    kept: Collection[str] = (),
) -> list[Edge]:
    """The edges with their kinds chosen.

    An edge streams where it is the only use of its producer's ``df``, the consumer reads streams and does not also
    need the producer's end, and both can be in one stage without that stage waiting for itself.

    Args:
        after: What each step waits for.
        edges: All uses of all outputs.
        readers: The steps that read streams.
        needs: The steps whose end a step needs by its own word.
        kept: The steps whose outputs are to be kept whole.
    """
    wanted = _could_stream([edge for edge in edges if edge.producer not in kept], readers, needs)
    level = _levels(after, wanted)
    return [
        replace(edge, kind="stream")
        if wanted.get(edge.producer) == edge.consumer and level[edge.producer] == level[edge.consumer]
        else edge
        for edge in edges
    ]


def make_stages(after: After, edges: Sequence[Edge]) -> tuple[Stage, ...]:
    """The groups of steps that ``stream`` edges join, in an order in which they can run."""
    into = {edge.producer: edge.consumer for edge in edges if edge.kind == "stream"}
    head: dict[str, str] = {}  # of each step the last one of its group: a step streams to one other at most
    for step in reversed(list(after)):
        head[step] = head[into[step]] if step in into else step
    groups: dict[str, list[str]] = {}
    for step in after:
        groups.setdefault(head[step], []).append(step)
    number = {step: place for place, step in enumerate(groups)}
    waits: list[set[int]] = [set() for _ in groups]
    for step, others in after.items():
        own = number[head[step]]
        waits[own].update(number[head[other]] for other in others)
        waits[own].discard(own)
    running = sort([sorted(nodes) for nodes in waits])
    index = {node: place for place, node in enumerate(running)}
    members = list(groups.values())
    return tuple(
        Stage(index=place, steps=tuple(members[node]), after=tuple(sorted(index[other] for other in waits[node])))
        for place, node in enumerate(running)
    )


def _could_stream(
    edges: Sequence[Edge], readers: Collection[str], needs: Mapping[str, Collection[str]]
) -> dict[str, str]:
    """Producer to consumer of every edge that would stream if the stages allowed it."""
    uses: dict[str, list[Edge]] = {}
    for edge in edges:
        uses.setdefault(edge.producer, []).append(edge)
    found = {}
    for producer, leaving in uses.items():
        of_df = [edge.consumer for edge in leaving if edge.output == "df"]
        consumer = of_df[0] if len(of_df) == 1 else None
        if consumer is None or consumer not in readers or producer in needs.get(consumer, ()):
            continue
        if sum(edge.consumer == consumer for edge in leaving) == 1:
            found[producer] = consumer
    return found


def _levels(after: After, wanted: Mapping[str, str]) -> dict[str, int]:
    """A level for each step, so that steps of one level may share a stage.

    A step lies above everything that must have finished before it, and not below what streams into it. So whatever
    leads from level to level leads upwards, and stages made within one level never wait for themselves.
    """
    level: dict[str, int] = {}
    for step, others in after.items():
        level[step] = max((level[other] + (wanted.get(other) != step) for other in others), default=0)
    ceiling: dict[str, int] = {}
    for step, others in reversed(list(after.items())):
        # Raise each step to the one it streams into, as far as those that wait for its end allow.
        goal = level[wanted[step]] if step in wanted else level[step]
        if goal <= ceiling.get(step, goal):
            level[step] = goal
        for other in others:
            if wanted.get(other) != step:
                ceiling[other] = min(ceiling.get(other, level[step] - 1), level[step] - 1)
    return level
