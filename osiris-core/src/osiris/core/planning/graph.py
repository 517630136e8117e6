"""Order among things that wait for each other. Nodes are numbers; everything is linear and iterative."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence

__all__ = ["find_cycles", "sort"]

Waits = Sequence[Sequence[int]]
"""For each node, the nodes it waits for; repeats and self-references are allowed."""


def sort(waits: Waits) -> list[int]:
    """An order in which every node comes after those it waits for; ties in the order of the numbers.

    Nodes that are on a cycle, or wait for one, are left out.
    """
    followers = _followers(waits)
    open_waits = [len(nodes) for nodes in waits]
    ready = [node for node, count in enumerate(open_waits) if count == 0]
    order: list[int] = []
    while ready:
        node = heapq.heappop(ready)
        order.append(node)
        for follower in followers[node]:
            open_waits[follower] -= 1
            if open_waits[follower] == 0:
                heapq.heappush(ready, follower)
    return order


def find_cycles(waits: Waits) -> list[list[int]]:
    """One shortest cycle through the first node of each knot of nodes that wait for each other.

    A cycle ``[0, 1, 0]`` says that 1 waits for 0 and 0 for 1; ``[2, 2]`` that 2 waits for itself.
    """
    followers = _followers(waits)
    knots = (knot for knot in _knots(followers) if len(knot) > 1 or knot[0] in followers[knot[0]])
    return sorted(_shortest_cycle(min(knot), followers, set(knot)) for knot in knots)


def _followers(waits: Waits) -> list[list[int]]:
    followers: list[list[int]] = [[] for _ in waits]
    for node, nodes in enumerate(waits):
        for other in nodes:
            followers[other].append(node)
    return followers


def _knots(followers: list[list[int]]) -> list[list[int]]:
    """The strongly connected components (Tarjan), with a stack of our own: a chain may be 10,000 long."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    path: list[int] = []
    on_path: set[int] = set()
    knots: list[list[int]] = []
    for root in range(len(followers)):
        if root in index:
            continue
        index[root] = low[root] = len(index)
        path.append(root)
        on_path.add(root)
        work = [(root, iter(followers[root]))]
        while work:
            node, rest = work[-1]
            for follower in rest:
                if follower not in index:
                    index[follower] = low[follower] = len(index)
                    path.append(follower)
                    on_path.add(follower)
                    work.append((follower, iter(followers[follower])))
                    break
                if follower in on_path:
                    low[node] = min(low[node], index[follower])
            else:
                work.pop()
                if work:
                    parent = work[-1][0]
                    low[parent] = min(low[parent], low[node])
                if low[node] == index[node]:
                    knot = [path.pop()]
                    while knot[-1] != node:
                        knot.append(path.pop())
                    on_path.difference_update(knot)
                    knots.append(knot)
    return knots


def _shortest_cycle(start: int, followers: list[list[int]], knot: set[int]) -> list[int]:
    came_from: dict[int, int] = {}
    todo = deque([start])
    while todo:
        node = todo.popleft()
        for follower in followers[node]:
            if follower == start:
                backwards = [start, node]
                while backwards[-1] != start:
                    backwards.append(came_from[backwards[-1]])
                return backwards[::-1]
            if follower in knot and follower not in came_from:
                came_from[follower] = node
                todo.append(follower)
    return [start]
