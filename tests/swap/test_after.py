"""What follows a death, and which engines are strays."""

from datetime import timedelta

import pytest

from server.swap.after import Reaction, after_death, strays
from tests.swap.made import T0, engine


@pytest.mark.parametrize(
    ("policy", "recent", "earlier", "expected"),
    [
        ("none", 0, True, Reaction.REST),
        ("rollback", 0, True, Reaction.ROLL_BACK),
        ("rollback", 0, False, Reaction.REST),
        ("restart", 0, False, Reaction.RESTART),
        ("restart", 2, True, Reaction.RESTART),
        ("restart", 3, True, Reaction.ROLL_BACK),
        ("restart", 3, False, Reaction.REST),
    ],
)
def test_the_reaction_follows_the_policy(
    policy: str, recent: int, earlier: bool, expected: Reaction
) -> None:
    reaction, sentence = after_death(
        policy,  # type: ignore[arg-type]
        restarts=[T0] * recent,
        limit=3,
        earlier=earlier,
        now=T0,
    )
    assert reaction is expected
    assert sentence.endswith(".")


def test_old_restarts_are_forgiven() -> None:
    later = T0 + timedelta(minutes=11)
    reaction, _ = after_death("restart", restarts=[T0] * 9, limit=3, earlier=False, now=later)
    assert reaction is Reaction.RESTART


def test_only_running_engines_that_we_started_and_do_not_serve_are_strays() -> None:
    served, old = engine("swap-2"), engine("swap-1")
    ended, foreign = engine("swap-3", running=False), engine("other-house")
    known = frozenset({"swap-1", "swap-2", "swap-3"})
    assert strays([served, old, ended, foreign], frozenset({"swap-2"}), known) == (old,)
    assert strays([served], frozenset(), known) == (served,)
