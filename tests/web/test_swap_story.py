"""What a swap would stop, and what became of it, in sentences a person can rely on."""

from datetime import datetime

import pytest

from server.base.errors import InvalidValue
from server.base.finding import Finding, Severity
from server.catalog.model import Model, Source
from server.swap.events import Placement
from server.swap.log import SwapLog
from server.swap.model import Serving, State, StepRecord, SwapError, SwapRecord
from server.swap.preflight import OUTSIDE
from server.swap.rehearsals import Rehearsal
from server.web.pages.log import pieces, swap_log
from server.web.pages.swaps.past import ENDS, SHOWN, past_list, wanted
from server.web.pages.swaps.plan import Plan, plan
from server.web.pages.swaps.story import ending, listed, stops, under_way
from tests.gateway.made import serving
from tests.swap.made import T0, at, deployment, record, spec

MODEL = Model("new", "New", Source(hf="org/new"))
OOM = SwapError("oom", "It ran out of memory.")


def served(model: str) -> Serving:
    return serving(model)


def step(name: str, state: str = "done") -> StepRecord:
    return StepRecord(name, "spark-1", state, T0, 1.0)


def planned(look: Rehearsal | None = None, **more: object) -> Plan:
    given: dict[str, object] = {
        "layout": (served("old"),), "current": None, "queue": (), "clients": {},
        "now": T0, "most": 1, "patience": 30,
    }  # fmt: skip
    return plan(MODEL, None, look, **(given | more))  # type: ignore[arg-type]


def test_words_are_listed_as_people_do() -> None:
    assert [listed(words) for words in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "", "a", "a and b", "a, b and c"
    ]  # fmt: skip


def test_what_a_start_stops_is_named() -> None:
    """With its place; what only a look at the hosts can tell is not guessed."""
    old, other = served("old"), served("other")
    assert stops("new", (), 1).startswith("Nothing is being served")
    assert stops("new", (old,), 1).startswith("It stops old on ")
    assert "if both do not fit" in stops("new", (old,), 2)
    assert "no room beside" in stops("new", (old, other), 2)
    assert "being served" in stops("old", (old,), 1)
    assert stops("new", (old, other), 2, ()) == "It stops nothing."
    assert stops("new", (old, other), 2, (deployment("old"),)) == "It stops old on spark-1."


def test_whom_it_touches_is_named_and_counted() -> None:
    """Each client once, and not an endless list of them."""
    assert under_way(["old"], {}, 30) == "No request is under way there."
    said = under_way(["old"], {"old": ["ann", "bob", "ann"], "x": ["eve"]}, 30)
    assert said == "3 requests are under way there, of ann and bob; 30 s are given to finish."
    many = under_way(["old"], {"old": [f"c{n}" for n in range(9)]}, 0)
    assert many.endswith("c4 and 4 others.")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (record(state=State.LOADING), ()),
        (record(state=State.SERVING), ("Nothing was stopped for it.",)),
        (
            record(state=State.SERVING, previous=deployment()),
            ("old on spark-1 was stopped for it.",),
        ),
        (
            record(state=State.UNLOADED, unload=True, evicted=(deployment(),)),
            ("old on spark-1 was stopped.",),
        ),
        (
            record(state=State.CANCELLED),
            ("It was taken back before it began: nothing was touched.",),
        ),
        (
            record(state=State.FAILED, error=OOM, started_at=T0, steps=(step("rb_stopping"),)),
            (
                "The new engine of new was removed.",
                "Nothing was served before it, so there was nothing to go back to.",
            ),
        ),
        (
            record(
                state=State.ROLLED_BACK,
                error=OOM,
                previous=deployment(),
                started_at=T0,
                restored=1,
                steps=(step("rb_stopping"), step("rb_starting")),
            ),
            (
                "The new engine of new was removed.",
                "old on spark-1 was started again and has answered.",
            ),
        ),
        (
            record(
                state=State.CANCELLED,
                previous=deployment(),
                evicted=(),
                touched=False,
                started_at=T0,
                restored=1,
                steps=(step("rb_warming"),),
            ),
            ("old on spark-1 was not stopped, and has answered.",),
        ),
        (
            record(
                state=State.FAILED,
                error=OOM,
                evicted=(deployment("a"), deployment("b")),
                started_at=T0,
                restored=2,
                lost=("b",),
                steps=(step("rb_starting"),),
            ),
            (
                "a on spark-1 was started again and has answered.",
                "b on spark-1 could not be brought back: it is not being served.",
            ),
        ),
        (
            record(
                state=State.FAILED, error=OOM, previous=deployment(), started_at=T0,
                steps=(step("rb_stopping", "failed"),),
            ),
            ("old on spark-1 was stopped and not started again.",),
        ),
    ],
)  # fmt: skip
def test_the_end_of_a_swap_is_told_as_it_was(made: SwapRecord, said: tuple[str, ...]) -> None:
    """What was stopped, restored, lost; nothing is called restored that did not answer."""
    assert ending(made) == said


def test_a_plan_says_what_it_found_and_the_worst_first() -> None:
    """An error refuses it; only files that nobody allowed bar it altogether."""
    assert planned().checked is None
    findings = (
        Finding("host", Severity.OK, "answers"),
        Finding("fit_cannot", Severity.ERROR, "too big", "use less"),
    )
    begun = Rehearsal("new", "a", T0)
    assert planned(begun).checking
    done = Rehearsal("new", "a", T0, at(1), findings, Placement(spec(), (deployment("gone"),)))
    shown = planned(done, now=at(2))
    assert (shown.checking, shown.blocked, shown.barred) == ("", True, False)
    assert [one.severity for one in shown.findings] == ["error", "ok"]
    assert shown.stops == "It stops gone on spark-1."
    barred = Rehearsal("new", "a", T0, at(1), (Finding(OUTSIDE, Severity.ERROR, "no"),))
    assert planned(barred).barred
    assert planned(Rehearsal("new", "a", T0, at(1), error="no host")).trouble == "no host"


def test_a_plan_names_what_is_under_way_and_why_it_cannot_be() -> None:
    """So that nobody replaces another one's swap unknowingly."""
    running = record("loading", state=State.LOADING).with_(model="x")
    shown = planned(current=running, queue=(record().with_(model="y"),))
    assert shown.busy == "x (loading), then y"
    refused = plan(
        MODEL, InvalidValue("2 nodes are wanted", advice="Add one."), None, layout=(), current=None,
        queue=(), clients={}, now=T0, most=1, patience=0,
    )  # fmt: skip
    assert refused.refused == "2 nodes are wanted. Add one."


def test_the_past_is_paged_by_the_last_one_seen() -> None:
    """The filter stays in each address; only the newest page goes on by itself."""
    many = [
        record(state=State.FAILED).with_(id=f"swap-{n:03d}", finished_at=at(1))
        for n in range(SHOWN + 1)
    ]
    first = past_list(many, ["new"], "failed", "", "", at(9))
    assert len(first.swaps) == SHOWN
    assert first.older == f"/swaps?outcome=failed&before=swap-{SHOWN - 1:03d}"
    assert (first.newest, first.live, first.swaps[0].again) == ("", True, "new")
    last = past_list(many[:2], [], "failed", "a b", "swap-9", at(9))
    assert (last.older, last.live, last.swaps[0].again) == ("", False, "")
    assert last.newest == "/swaps?outcome=failed&model=a+b"
    assert wanted("", "", "").states == wanted("nonsense", "", "").states == ENDS
    assert wanted("failed", "m", "b").states == {State.FAILED}


def test_a_log_is_drawn_in_pieces_of_known_looks() -> None:
    """What is not drawn is counted; a look that is none of ours is none."""
    log = SwapLog("now")
    for number in range(300):
        log.hear(f"{number} \x1b[1;31mred\x1b[0m end", T0)
    view = swap_log("swap-1", "new", log, ended=False)
    assert (len(view.rows), view.more, view.follow) == (200, 100, "swap")
    assert view.rows[-1].pieces == (("299 ", ""), ("red", "a-bold a-red"), (" end", ""))
    assert view.rows[-1].clock == f"{datetime.fromisoformat(view.rows[-1].at):%H:%M:%S}"
    line = log.after(299)[0]
    odd = type(line)(line.number, line.at, "abc", ((0, 3, "x onload"),))
    assert pieces(odd) == (("abc", ""),)
