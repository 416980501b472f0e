"""Who loses a place of a full queue, against a naive count."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from server.gateway.admission.line import Item
from server.gateway.admission.shares import Shares

CLIENTS = st.sampled_from(["anna", "ben", "eva", "tom"])
RANKS = st.integers(0, 5).map(float)
STEPS = st.lists(st.tuples(CLIENTS, RANKS, st.booleans()), max_size=60)


@given(STEPS)
@settings(max_examples=200)
def test_the_last_one_of_the_heaviest_loses(steps: list[tuple[str, float, bool]]) -> None:
    """Of whoever comes and goes: only a client with more than the newcomer's, and of it who would
    go last."""
    shares, there = Shares(), list[tuple[str, Item]]()
    for ticket, (client, rank, comes) in enumerate(steps):
        mine = [one for one in there if one[0] == client]
        if comes or not mine:
            there.append((client, (rank, ticket)))
            shares.add(client, (rank, ticket))
        else:
            there.remove(mine[0])
            shares.remove(*mine[0])
        counts = Counter(name for name, _ in there)
        most = max(counts.values(), default=0)
        for name in ("anna", "ben", "eva", "tom"):
            assert shares.count(name) == counts[name]
            loser = shares.loser(name)
            if most <= counts[name]:
                assert loser is None
                continue
            [(owner, item)] = [one for one in there if one[1][1] == loser]
            assert counts[owner] == most
            assert item == max(other for who, other in there if who == owner)


@given(st.lists(CLIENTS, min_size=1, max_size=80), st.integers(1, 12))
@settings(max_examples=200)
def test_a_client_below_its_share_always_gets_in(comers: list[str], limit: int) -> None:
    """And a full queue stays exactly full, whoever comes, in whatever order."""
    shares, there = Shares(), dict[int, str]()
    for ticket, client in enumerate(comers):
        before = Counter(there.values())
        shares.add(client, (float(ticket), ticket))
        there[ticket] = client
        if len(there) > limit:
            loser = shares.loser(client)
            gone = ticket if loser is None else loser
            shares.remove(there[gone], (float(gone), gone))
            del there[gone]
            assert len(there) == limit
        clients = len({*before, client})
        if before[client] + 1 <= limit / clients:
            assert ticket in there
