"""Resume by looking: what a restarted control plane does in every node."""

import pytest

from server.swap.events import Broke, Drained, Restore, Retire, Start, Started
from server.swap.machine import effect_of
from server.swap.node import FINAL_NODES, ROLLBACK, Node
from server.swap.resume import Continue, Report, Wait, hosts_of, resume
from tests.swap.made import deployment, engine, record, spec

WORKING = [n for n in Node if n not in FINAL_NODES and n is not Node.QUEUED]


def standing(node: Node) -> object:
    tag = "swap-1-rb" if node in ROLLBACK else "swap-1"
    return record(node.value, previous=deployment(), engine=engine(tag))


@pytest.mark.parametrize("node", WORKING)
def test_a_silent_host_makes_it_wait_whatever_the_node(node: Node) -> None:
    """A second engine started on a guess is worse than a pause."""
    decision = resume(standing(node), {"spark-1": None})
    assert isinstance(decision, Wait)
    assert "spark-1" in decision.reason


@pytest.mark.parametrize(
    "node",
    [Node.PREFLIGHT, Node.STOPPING, Node.RETIRING, Node.RB_STOPPING, Node.RB_CLEANING],
)
def test_steps_that_can_be_repeated_are_repeated(node: Node) -> None:
    made = standing(node)
    assert resume(made, {"spark-1": ()}) == Continue(effect_of(made))


def test_a_drain_is_over_because_its_callers_went_with_us() -> None:
    assert resume(standing(Node.DRAINING), {"spark-1": ()}) == Report(Drained())
    assert resume(standing(Node.RELIEVING), {"spark-1": ()}) == Report(Drained())


def test_the_old_engines_are_stopped_though_nobody_is_left_to_tell() -> None:
    decision = resume(standing(Node.RETIRING), {"spark-1": (engine("swap-1"),)})
    assert decision == Continue(Retire((deployment(),)))


def test_the_second_of_a_rollback_is_known_by_its_own_tag() -> None:
    old = (deployment(), deployment("older", "swap-00"))
    made = record("rb_starting", previous=old[0], evicted=old, restored=1)
    first, second = engine("swap-1-rb", "old"), engine("swap-1-rb1", "older")
    assert resume(made, {"spark-1": (first, second)}) == Report(Started(second))
    assert resume(made, {"spark-1": (first,)}) == Continue(Restore(old[1], "swap-1-rb1"))


def test_an_engine_started_while_we_died_is_adopted() -> None:
    running = engine("swap-1")
    decision = resume(standing(Node.STARTING), {"spark-1": (running,)})
    assert decision == Report(Started(running))


def test_without_an_engine_the_start_is_repeated() -> None:
    decision = resume(standing(Node.STARTING), {"spark-1": (engine("swap-0", "old"),)})
    assert isinstance(decision, Continue)
    assert isinstance(decision.effect, Start)


def test_the_rollback_adopts_only_its_own_engine() -> None:
    mine = engine("swap-1-rb", "old")
    assert resume(standing(Node.RB_STARTING), {"spark-1": (mine,)}) == Report(Started(mine))
    decision = resume(standing(Node.RB_STARTING), {"spark-1": (engine("swap-1"),)})
    assert isinstance(decision, Continue)
    assert isinstance(decision.effect, Restore)


@pytest.mark.parametrize("node", [Node.LOADING, Node.WARMING])
def test_a_load_goes_on_when_its_very_engine_still_runs(node: Node) -> None:
    assert isinstance(resume(standing(node), {"spark-1": (engine("swap-1"),)}), Continue)


@pytest.mark.parametrize("node", [Node.LOADING, Node.WARMING])
def test_a_load_whose_engine_died_meanwhile_breaks(node: Node) -> None:
    gone = resume(standing(node), {"spark-1": ()})
    assert isinstance(gone, Report)
    assert isinstance(gone.event, Broke)
    ended = resume(standing(node), {"spark-1": (engine("swap-1", running=False),)})
    assert isinstance(ended, Report)
    assert isinstance(ended.event, Broke)
    assert "exit code 1" in ended.event.error.message


def test_a_recreated_engine_with_the_same_name_is_not_ours() -> None:
    """Identity is (id, started), not the name."""
    other = engine("someone-else")
    decision = resume(standing(Node.LOADING), {"spark-1": (other,)})
    assert isinstance(decision, Report)
    assert isinstance(decision.event, Broke)


def test_hosts_of_names_every_host_once() -> None:
    made = record(target=spec(hosts=("spark-1", "spark-2")), previous=deployment())
    assert hosts_of(made) == ("spark-1", "spark-2")
