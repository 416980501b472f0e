"""Models that nobody asks for: unloaded by `ttl`, replaced by the default."""

from server.base.errors import SparkError
from server.gateway.demand.model import Facts, Loaded, ReturnToDefault, Rules, Unload, Wanted
from server.gateway.demand.policy import decide
from tests.gateway.demand.world import Request, World

RULES = Rules(default_model="home", default_after_seconds=600)


def used(model: str = "a", **fields: object) -> Loaded:
    return Loaded(model, **({"seconds": 1000.0, "idle_seconds": 1000.0} | fields))  # type: ignore[arg-type]


def decided(*layout: Loaded, rules: Rules = RULES, **more: object) -> tuple[object, ...]:
    evicts = {"home": frozenset(each.model for each in layout)}
    return decide(Facts(layout=layout, **({"evicts": evicts} | more)), rules)  # type: ignore[arg-type]


class TestTtl:
    def test_a_model_unused_for_its_ttl_is_unloaded(self) -> None:
        """Counted from its last request, and from its load at the earliest; 0 is never."""
        rules = Rules()
        assert decided(used(ttl=999.0), rules=rules) == (Unload("a"),)
        for kept in (
            used(ttl=1001.0),
            used(ttl=0.0),
            used(ttl=10.0, seconds=5.0),
            used(ttl=10.0, idle_seconds=5.0),
            used(ttl=10.0, in_flight=1),
            used(ttl=10.0, waiting=1),
            used(ttl=10.0, pinned=True),
        ):
            assert decided(kept, rules=rules) == ()

    def test_nothing_is_unloaded_while_a_swap_is_under_way(self) -> None:
        """One change at a time."""
        assert decided(used(ttl=10.0), swaps=("b",)) == ()


class TestDefault:
    HOME = (ReturnToDefault("home"),)

    def test_the_default_returns_when_the_other_has_been_unused(self) -> None:
        """Not while it is used, not when it is there, not while it failed just now."""
        assert decided(used()) == self.HOME
        assert decided(used(idle_seconds=599.0)) == ()
        assert decided(used(in_flight=1)) == ()
        assert decided(used("home")) == ()
        assert decided(used(), evicts={"home": None}) == ()
        assert decided(used(), blocked={"home": SparkError("no")}) == ()

    def test_who_waits_goes_before_the_default(self) -> None:
        """Even when its own place is not free yet and that of the default is."""
        layout = (used(), used("x", in_flight=1, seconds=10.0))
        evicts = {"home": frozenset({"a"}), "b": frozenset({"a", "x"})}
        assert decided(*layout, evicts=evicts, wanted=(Wanted("b", 1, 1.0),)) == ()
        assert decided(*layout, evicts=evicts) == self.HOME

    def test_what_stays_beside_the_default_may_be_in_use(self) -> None:
        """Only what would go for it has to be unused."""
        layout = (used(), used("small", in_flight=3))
        assert decided(*layout, evicts={"home": frozenset({"a"})}) == self.HOME

    def test_after_an_unload_by_a_person_nothing_returns(self) -> None:
        """The memory was wanted for something. After `ttl` it does, unless that was its own."""
        assert decided() == ()
        assert decided(parted=("a", 600.0)) == self.HOME
        assert decided(parted=("a", 599.0)) == ()
        assert decided(parted=("home", 9999.0)) == ()

    def test_a_day_of_one_request_returns_to_the_default_once(self) -> None:
        """Load, use, idle, back; and a `ttl` on both ends in peace."""
        world = World(RULES, ttl={"a": 300.0, "home": 5000.0})
        world.serve("home")
        world.run(20_000, [Request("a", 100.0)])
        assert [model for _, model in world.loads] == ["a", "home"]
        assert world.served() == set()
