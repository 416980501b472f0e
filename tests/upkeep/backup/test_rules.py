"""The pure rules: what is kept, when the next one is due, and what a passphrase opens."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.base.errors import InvalidValue
from server.upkeep.backup.retention import due, kept
from server.upkeep.backup.seal import COST, Seal, WrongPassphrase, checked, opened, sealed

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
SEAL = Seal(COST >> 1, b"s" * 16, b"n" * 12)
PHRASE = "correct horse battery staple"
MOMENTS = st.lists(
    st.integers(0, 60 * 24).map(lambda hours: NOON - timedelta(hours=hours)), max_size=80
)


def test_the_newest_of_each_day_and_week_stay() -> None:
    """Two a day for two months: seven days, four weeks."""
    made = [(f"b{n:03}", NOON - timedelta(hours=12 * n)) for n in range(120)]
    stays = sorted(kept(made, 7, 4))
    assert stays[:7] == ["b000", "b002", "b004", "b006", "b008", "b010", "b012"]
    days = [dict(made)[name] for name in stays]
    assert len({at.date() for at in days[:7]}) == 7
    assert len({at.isocalendar()[:2] for at in days}) == 4
    assert len(stays) == 9


@given(MOMENTS, st.integers(1, 10), st.integers(0, 10))
@settings(max_examples=150)
def test_never_more_than_asked_and_never_nothing(
    moments: list[datetime], daily: int, weekly: int
) -> None:
    """The newest always stays, and as many days as there are, up to the bound."""
    made = [(f"b{number}", at) for number, at in enumerate(moments)]
    stays = kept(made, daily, weekly)
    assert stays <= {name for name, _ in made}
    assert len(stays) <= daily + weekly
    days = {at.date() for _, at in made}
    assert len({dict(made)[name].date() for name in stays}) >= min(daily, len(days))
    if made:
        newest = max(at for _, at in made)
        assert newest in {dict(made)[name] for name in stays}
    again = kept([(name, at) for name, at in made if name in stays], daily, weekly)
    assert again == stays, "what was kept once is kept again"


def test_the_next_one_is_due() -> None:
    """A while after the first start, then an interval after the newest, late or not; 0: never."""
    assert due(None, NOON, 24) == NOON + timedelta(hours=2.4)
    assert due(NOON, NOON + timedelta(days=9), 24) == NOON + timedelta(hours=24)
    assert due(None, NOON, 0) is None


def test_the_right_passphrase_opens_and_nothing_else_does() -> None:
    """Another one, another manifest, a changed blob: nothing comes out."""
    secrets = {"ssh/id_ed25519": b"\x00\xffkey", "password": b"hash"}
    blob = sealed(secrets, PHRASE, SEAL, b"manifest")
    assert opened(blob, PHRASE, SEAL, b"manifest") == secrets
    assert b"key" not in blob
    for wrong in (
        (blob, PHRASE + " ", SEAL, b"manifest"),
        (blob, PHRASE, SEAL, b"manifesT"),
        (blob[:-1] + bytes([blob[-1] ^ 1]), PHRASE, SEAL, b"manifest"),
        (b"", PHRASE, SEAL, b"manifest"),
        (blob, PHRASE, Seal(SEAL.cost, b"t" * 16, SEAL.nonce), b"manifest"),
    ):
        with pytest.raises(WrongPassphrase):
            opened(*wrong)


def test_one_way_to_write_a_letter_is_as_good_as_the_other() -> None:
    """A keyboard may send ü as one sign or as two."""
    blob = sealed({"password": b"x"}, "gr\u00fcne wiese", SEAL, b"")
    assert opened(blob, "gru\u0308ne wiese", SEAL, b"") == {"password": b"x"}


@pytest.mark.parametrize("text", ["", "short", "x" * 1001])
def test_a_passphrase_that_is_none_is_refused(text: str) -> None:
    """Too short to be worth it, or too long to be one."""
    with pytest.raises(InvalidValue):
        checked(text)
