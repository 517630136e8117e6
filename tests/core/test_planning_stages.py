"""Order and stages: what must hold for every graph."""

import itertools
import random
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osiris.core.planning.graph import find_cycles, sort
from osiris.core.planning.plan import Edge, Stage
from osiris.core.planning.stages import choose_kinds, make_stages

quick = settings(max_examples=400, deadline=None, derandomize=True)


def wait_lists(most: int = 9) -> st.SearchStrategy[list[list[int]]]:
    return st.integers(1, most).flatmap(
        lambda count: st.lists(st.lists(st.integers(0, count - 1), max_size=4), min_size=count, max_size=count)
    )


@quick
@given(wait_lists())
def test_the_order_keeps_every_wait_and_leaves_out_only_cycles(waits: list[list[int]]) -> None:
    order = sort(waits)
    place = {node: index for index, node in enumerate(order)}
    assert len(place) == len(order)
    for node in order:
        assert all(place[other] < place[node] for other in waits[node])
    left = set(range(len(waits))) - set(order)
    assert all(any(other in left for other in waits[node]) for node in left)


@quick
@given(wait_lists())
def test_cycles_are_found_exactly_where_there_are_some(waits: list[list[int]]) -> None:
    cycles = find_cycles(waits)
    assert bool(cycles) == (len(sort(waits)) < len(waits))
    for cycle in cycles:
        assert cycle[0] == cycle[-1]
        assert len(set(cycle)) == len(cycle) - 1
        assert all(before in waits[after] for before, after in itertools.pairwise(cycle))


def test_ties_keep_the_order_of_the_manifest() -> None:
    assert sort([[], [], []]) == [0, 1, 2]
    assert sort([[2], [], []]) == [1, 2, 0]
    assert sort([[3], [], [], []]) == [1, 2, 3, 0]


def test_cycles_that_have_nothing_to_do_with_each_other_are_all_reported() -> None:
    assert find_cycles([[1], [0], [2], [4], [5], [3], [0]]) == [[0, 1, 0], [2, 2], [3, 5, 4, 3]]


def test_long_chains_wide_fans_and_long_cycles() -> None:
    count = 10_000
    chain = [[n - 1] if n else [] for n in range(count)]
    assert sort(chain) == list(range(count))
    assert find_cycles(chain) == []
    assert sort([[0] if n else [] for n in range(count)]) == list(range(count))
    assert sort([*([] for _ in range(count)), list(range(count))])[-1] == count
    [cycle] = find_cycles([[(n - 1) % count] for n in range(count)])
    assert len(cycle) == count + 1


def edge(producer: str, consumer: str, output: str = "df", name: str = "df") -> Edge:
    return Edge(producer=producer, output=output, consumer=consumer, name=name, kind="store")


def plan_stages(
    after: Mapping[str, Sequence[str]],
    edges: Sequence[Edge],
    readers: set[str] | None = None,
    needs: Mapping[str, Sequence[str]] | None = None,
) -> tuple[dict[tuple[str, str], str], list[tuple[str, ...]]]:
    chosen = choose_kinds(after, edges, readers=set(after) if readers is None else readers, needs=needs or {})
    stages = make_stages(after, chosen)
    return {(edge.producer, edge.consumer): edge.kind for edge in chosen}, [stage.steps for stage in stages]


def test_a_chain_is_one_stage() -> None:
    kinds, stages = plan_stages({"a": (), "b": ("a",), "c": ("b",)}, [edge("a", "b"), edge("b", "c")])
    assert set(kinds.values()) == {"stream"}
    assert stages == [("a", "b", "c")]


def test_what_two_use_is_stored() -> None:
    kinds, stages = plan_stages({"a": (), "b": ("a",), "c": ("a",)}, [edge("a", "b"), edge("a", "c")])
    assert set(kinds.values()) == {"store"}
    assert stages == [("a",), ("b",), ("c",)]


def test_what_one_uses_twice_is_stored() -> None:
    kinds, _ = plan_stages({"a": (), "b": ("a",)}, [edge("a", "b", name="x"), edge("a", "b", name="y")])
    assert kinds == {("a", "b"): "store"}


def test_a_step_that_wants_everything_at_once_begins_a_stage() -> None:
    kinds, stages = plan_stages({"a": (), "b": ("a",), "c": ("b",)}, [edge("a", "b"), edge("b", "c")], readers={"c"})
    assert kinds == {("a", "b"): "store", ("b", "c"): "stream"}
    assert stages == [("a",), ("b", "c")]


def test_other_outputs_are_stored() -> None:
    kinds, _ = plan_stages({"a": (), "b": ("a",)}, [edge("a", "b", output="rejects")])
    assert kinds == {("a", "b"): "store"}


def test_two_streams_into_one_step_are_one_stage() -> None:
    kinds, stages = plan_stages(
        {"a": (), "b": (), "c": ("a", "b")}, [edge("a", "c", name="x"), edge("b", "c", name="y")]
    )
    assert set(kinds.values()) == {"stream"}
    assert stages == [("a", "b", "c")]


def test_needing_the_end_of_a_producer_keeps_it_from_streaming() -> None:
    kinds, stages = plan_stages({"a": (), "b": ("a",)}, [edge("a", "b")], needs={"b": ("a",)})
    assert kinds == {("a", "b"): "store"}
    assert stages == [("a",), ("b",)]


def test_a_stream_beside_a_stored_input_still_streams() -> None:
    # lookup is stored (used twice); big streams into join, whose stage simply begins later.
    after = {"lookup": (), "big": (), "join": ("big", "lookup"), "other": ("lookup",)}
    edges = [edge("big", "join", name="big"), edge("lookup", "join", name="lookup"), edge("lookup", "other")]
    kinds, stages = plan_stages(after, edges)
    assert kinds[("big", "join")] == "stream"
    assert stages == [("lookup",), ("big", "join"), ("other",)]


def test_a_writer_that_waits_for_another_does_not_store_its_input() -> None:
    after = {"a": (), "write_a": ("a",), "b": (), "write_b": ("b", "write_a")}
    kinds, stages = plan_stages(after, [edge("a", "write_a"), edge("b", "write_b")], needs={"write_b": ("write_a",)})
    assert set(kinds.values()) == {"stream"}
    assert stages == [("a", "write_a"), ("b", "write_b")]


def test_a_stage_that_would_wait_for_itself_is_cut() -> None:
    # a streams into c; x must follow a's end and precede c.
    after = {"a": (), "x": ("a",), "c": ("a", "x")}
    kinds, stages = plan_stages(after, [edge("a", "c")], needs={"x": ("a",), "c": ("x",)})
    assert kinds == {("a", "c"): "store"}
    assert stages == [("a",), ("x",), ("c",)]


def random_plan(seed: int) -> tuple[dict[str, tuple[str, ...]], list[Edge], set[str], dict[str, list[str]]]:
    dice = random.Random(seed)
    ids = [f"s{n}" for n in range(dice.randint(1, 12))]
    edges, needs, after = [], {}, {}
    for index, step in enumerate(ids):
        earlier = ids[:index]
        sources = dice.sample(earlier, min(len(earlier), dice.choice([0, 1, 1, 1, 2, 3])))
        mine = [edge(source, step, dice.choice(["df", "df", "df", "x"]), f"i{n}") for n, source in enumerate(sources)]
        needs[step] = dice.sample(earlier, min(len(earlier), dice.choice([0, 0, 0, 1, 2])))
        edges += mine
        after[step] = tuple(dict.fromkeys([*sources, *needs[step]]))
    return after, edges, {step for step in ids if dice.random() < 0.8}, needs


@pytest.mark.parametrize("block", range(5))
def test_stages_of_any_plan(block: int) -> None:
    for seed in range(block * 300, block * 300 + 300):
        after, edges, readers, needs = random_plan(seed)
        chosen = choose_kinds(after, edges, readers=readers, needs=needs)
        check_stages(after, edges, chosen, make_stages(after, chosen), needs, readers)


def check_stages(
    after: Mapping[str, Sequence[str]],
    edges: Sequence[Edge],
    chosen: Sequence[Edge],
    stages: Sequence[Stage],
    needs: Mapping[str, Sequence[str]],
    readers: set[str],
) -> None:
    home = {step: stage.index for stage in stages for step in stage.steps}
    assert [stage.index for stage in stages] == list(range(len(stages)))
    assert sorted(step for stage in stages for step in stage.steps) == sorted(after)
    position = {step: index for index, step in enumerate(after)}
    for stage in stages:
        # Every stage waits only for stages before it: the graph of stages has no cycle.
        assert all(other < stage.index for other in stage.after)
        assert list(stage.steps) == sorted(stage.steps, key=position.__getitem__)
        waited = {home[other] for step in stage.steps for other in after[step]} - {stage.index}
        assert set(stage.after) == waited
    assert [(e.producer, e.consumer, e.name) for e in chosen] == [(e.producer, e.consumer, e.name) for e in edges]
    for found in chosen:
        uses = [e for e in chosen if (e.producer, e.output) == (found.producer, found.output)]
        if found.kind == "stream":
            assert home[found.producer] == home[found.consumer]
            assert (len(uses), found.output, found.consumer in readers) == (1, "df", True)
        else:
            assert home[found.producer] != home[found.consumer]
    for step, others in needs.items():
        assert all(home[other] < home[step] for other in others)
