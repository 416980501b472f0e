"""What the demand remembers: who waits, what failed, when each model was used; and the outlook."""

import pytest

from server.base.errors import Unavailable
from server.config.model import Settings
from server.gateway.demand.bridge import bridge
from server.gateway.demand.model import Facts, Loaded, Rules, Wanted
from server.gateway.demand.outlook import eta
from server.gateway.demand.setbacks import FIRST_SECONDS, LONGEST_SECONDS, Setbacks, error_of
from server.gateway.demand.usage import Usage
from server.gateway.demand.wants import MARK_SECONDS, Wants
from server.gateway.model import Ask, Caller
from server.gateway.operations import OPERATIONS
from server.gateway.pools import pools
from server.gateway.route import Known, resolve
from server.swap.model import State, SwapError
from tests.gateway.made import catalog, model, serving
from tests.swap.made import record

CHAT = OPERATIONS["/v1/chat/completions"]
MODELS = catalog(model("tiny", variants={"high": {"top_k": 1}}), model("large"))


def ask(name: str = "large", arrived: float = 0.0, **fields: object) -> Ask:
    named = {key: fields.pop(key) for key in ("priority", "swap", "models") if key in fields}
    caller = Caller("key", **named)  # type: ignore[arg-type]
    route = resolve(CHAT, name, Known(MODELS))
    return Ask(route, CHAT, caller, "id", arrived, 900.0, **fields)  # type: ignore[arg-type]


class TestWants:
    def test_the_longest_wait_and_the_most_permissive_policy_count(self) -> None:
        """And nothing is left when they are gone."""
        wants = Wants()
        with wants.want("large", ask(arrived=5.0, swap="never")):
            with wants.want("large", ask(arrived=7.0, priority=3)):
                found = wants.wanted("large", 10.0, "ask")
                assert (found.count, found.seconds) == (2, 5.0)
                assert (found.policy, found.priority) == ("ask", 3)
            assert wants.wanted("large", 10.0, "auto").policy == "never"
        assert wants.models(10.0) == []
        assert not wants.any()

    def test_a_bridged_request_wants_its_model_for_a_while(self) -> None:
        """It does not wait, but the swap that it caused must come."""
        wants = Wants()
        wants.mark("large", ask(), 10.0)
        wants.mark("large", ask(), 40.0)
        assert wants.wanted("large", 50.0, "auto").seconds == 40.0
        assert wants.models(40.0 + MARK_SECONDS) == ["large"]
        assert wants.models(41.0 + MARK_SECONDS) == []


class TestSetbacks:
    def test_a_failure_is_told_for_a_while_that_grows(self) -> None:
        """Twice as long after each; over when it was loaded, forgotten after a while."""
        setbacks = Setbacks()
        now = 0.0
        for pause in (FIRST_SECONDS, 2 * FIRST_SECONDS, 4 * FIRST_SECONDS):
            setbacks.failed("a", Unavailable("no memory", advice="less"), now)
            error = setbacks.why("a", now + pause - 5)
            assert error is not None
            assert (error.message, error.advice, error.retry_after) == ("no memory", "less", 5.0)
            now += pause
            assert setbacks.why("a", now) is None
        for _ in range(9):
            setbacks.failed("a", Unavailable("no"), now)
        assert setbacks.why("a", now + LONGEST_SECONDS) is None
        setbacks.failed("a", Unavailable("no"), now)
        setbacks.loaded("a", now)
        assert setbacks.all(now) == {}
        now += LONGEST_SECONDS
        setbacks.failed("a", Unavailable("no"), now)
        assert setbacks.why("a", now + FIRST_SECONDS) is None

    def test_the_error_of_a_swap_says_cause_and_advice(self) -> None:
        """What people see on the swap, programs read in their answer."""
        failed = record().with_(
            state=State.ROLLED_BACK, error=SwapError("x", "It ended.", "CUDA OOM.", "Use less.")
        )
        error = error_of("a", failed)
        assert error.message == "a could not be loaded: It ended. CUDA OOM."
        assert error.advice == "Use less."
        gone = record().with_(state=State.CANCELLED, cancelled_by="anna")
        assert "was cancelled by anna" in error_of("a", gone).message


class TestUsage:
    def test_what_is_in_flight_under_a_name_that_nobody_serves_is_not_remembered(self) -> None:
        """A service may be asked under any name, and somebody will make one up for each request."""
        usage = Usage(0.0)
        usage.look(frozenset({"a"}), {"a": 1, "made up": 1}, 50.0)
        assert usage.idle("a", 60.0) == 10.0
        assert usage.idle("made up", 60.0) == 60.0

    def test_what_nobody_saw_in_use_counts_from_the_start(self) -> None:
        """A restart unloads nothing early."""
        usage = Usage(100.0)
        assert usage.idle("a", 130.0) == 30.0
        usage.look(frozenset({"a"}), {"a": 1}, 150.0)
        assert usage.idle("a", 160.0) == 10.0

    def test_a_model_that_came_ends_the_memory_of_the_one_that_went(self) -> None:
        """Only while nothing was loaded since."""
        usage = Usage(0.0)
        usage.look(frozenset({"a"}), {}, 1.0)
        usage.part("a")
        assert usage.parted(2.0) is None
        usage.look(frozenset(), {}, 3.0)
        assert usage.parted(4.0) == ("a", 4.0)
        usage.look(frozenset({"b"}), {}, 5.0)
        assert usage.parted(6.0) is None


class TestOutlook:
    RULES = Rules(batch_seconds=60, residency_seconds=30)
    WANTED = Wanted("b", 1, 20.0)

    def left(self, *swaps: object, **more: object) -> float | None:
        layout = (Loaded("a", 1000.0, in_flight=1),)
        look = Facts((self.WANTED,), layout, evicts={"b": frozenset({"a"})})
        wanted = more.pop("wanted", self.WANTED)
        running = swaps[0].eta_seconds if swaps else 0.0  # type: ignore[attr-defined]
        loads = {"b": 100.0, "c": 50.0} | more
        learned = lambda m: None if loads.get(m) is None else loads[m] + (running or 0.0)  # type: ignore[operator]  # noqa: E731
        return eta(wanted, swaps, look, self.RULES, learned)  # type: ignore[arg-type]

    def test_it_is_the_sum_of_what_comes_before_and_the_load(self) -> None:
        """Its own swap runs, is queued behind another one, or has not begun."""
        running = record().with_(model="b", eta_seconds=33.0)
        other = record().with_(model="c", eta_seconds=10.0)
        assert self.left(running) == 33.0
        assert self.left(other, record().with_(model="b")) == 110.0
        assert self.left(other, record().with_(model="c"), record().with_(model="b")) == 160.0
        assert self.left() == 40.0 + 100.0

    def test_an_unknown_part_makes_it_unknown(self) -> None:
        """So does a person who has to be asked."""
        assert self.left(b=None) is None
        assert self.left(record().with_(model="c", eta_seconds=None)) is None
        assert self.left(wanted=Wanted("b", 1, 20.0, "ask")) is None


class TestBridge:
    def found(self, name: str | None, asked: Ask, **fields: object) -> object:
        layout = (serving("tiny", **fields),)  # type: ignore[arg-type]
        known = Known(MODELS, layout)
        return bridge(name, asked, known, pools(MODELS, layout, Settings(), {}))

    def test_a_served_model_answers_for_another(self) -> None:
        """Under the name that was asked; a variant's fields stay behind."""
        route = self.found("tiny:high", ask("large"))
        assert route is not None
        assert (route.pool, route.asked, dict(route.params)) == ("model:tiny", "large", {})  # type: ignore[attr-defined]

    @pytest.mark.parametrize("name", [None, "large", "gone"])
    def test_what_is_not_served_is_no_bridge(self, name: str | None) -> None:
        """It is never loaded for that, and a wrong name in the settings stops nothing."""
        assert self.found(name, ask("large")) is None

    def test_some_are_never_bridged(self) -> None:
        """Who says so, the model itself, a bridge that drains or has failed this request, a key
        that may not use it, what is no chat."""
        assert self.found("tiny", ask("large", bridge=False)) is None
        assert self.found("tiny", ask("tiny")) is None
        assert self.found("tiny", ask("large"), accepting=False) is None
        assert self.found("tiny", ask("large", exclude=frozenset({"tiny@spark-1"}))) is None
        assert self.found("tiny", ask("large", models=frozenset({"large"}))) is None
        assert self.found("tiny", ask("large", models=frozenset({"large", "tiny"}))) is not None
        vectors = ask("large")._replace(operation=OPERATIONS["/v1/embeddings"])
        assert self.found("tiny", vectors) is None
