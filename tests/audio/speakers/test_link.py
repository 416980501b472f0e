"""The same voice has the same key in every part."""

import random
from collections.abc import Sequence
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.audio.model import Turn
from server.audio.speakers.link import (
    KNOWN_SECONDS,
    Gallery,
    Heard,
    Known,
    Rules,
    assigned,
    direction,
    distance,
    linked,
    opened,
    settled,
)

RULES = Rules()
X, Y, Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)


def near(vector: tuple[float, ...], cosine: float) -> tuple[float, ...]:
    """A direction with that cosine to `vector`, which is one of the axes."""
    rest = (1 - cosine**2) ** 0.5
    axis = vector.index(1.0)
    return tuple(cosine if n == axis else rest if n == (axis + 1) % 3 else 0.0 for n in range(3))


def part(
    number: int,
    *voices: tuple[str, tuple[float, ...], float],
    before: Sequence[Turn] = (),
    shared: tuple[float, float] = (0.0, 0.0),
) -> Heard:
    """Each speaks once, in turn."""
    turns, at = [], number * 1000.0
    for name, _, seconds in voices:
        turns.append(Turn(name, at, at + seconds))
        at += seconds
    heard = {name: voice for name, voice, _ in voices if voice}
    return Heard(number, tuple(turns), heard, tuple(before), shared)


def keys(gallery: Gallery, *parts_: Heard, rules: Rules = RULES) -> list[dict[str, str]]:
    found = []
    for one in parts_:
        gallery, names = linked(gallery, one, rules)
        found.append(names)
    return found


def test_voices_are_found_again_whatever_they_are_called() -> None:
    """By their direction alone; its length does not matter."""
    first, second = keys(
        opened(),
        part(0, ("a", X, 9), ("b", Y, 9)),
        part(1, ("a", tuple(7 * y for y in Y), 9), ("b", near(X, 0.9), 9)),
    )
    assert first == {"a": "0", "b": "1"}
    assert second == {"a": "1", "b": "0"}


@given(
    st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(0.1, 1)), max_size=6),
    st.permutations(range(6)),
    st.lists(st.floats(0.2, 20), min_size=6, max_size=6),
)
@settings(max_examples=60)
def test_the_order_in_which_a_part_tells_its_voices_does_not_matter(
    voices: list[tuple[float, ...]], order: list[int], lengths: list[float]
) -> None:
    """Nor what it calls them: who is who stays the same."""
    gallery = opened()
    gallery, _ = linked(gallery, part(0, ("a", X, 9), ("b", Y, 9), ("c", Z, 9)), RULES)
    turns = [Turn(f"s{n}", n * 30.0, n * 30.0 + lengths[n]) for n in range(len(voices))]
    heard = {f"s{n}": voice for n, voice in enumerate(voices)}
    _, plain = linked(gallery, Heard(1, tuple(turns), heard), RULES)
    order = [n for n in order if n < len(voices)]
    renamed = tuple(Turn(f"t{order[n]}", *turns[n][1:]) for n in reversed(range(len(turns))))
    other = {f"t{order[n]}": voice for n, voice in reversed(list(enumerate(voices)))}
    _, moved = linked(gallery, Heard(1, renamed, other), RULES)
    assert {f"s{n}": moved[f"t{order[n]}"] for n in range(len(voices))} == plain


@pytest.mark.parametrize(("cosine", "same"), [(0.66, True), (0.65, True), (0.64, False)])
def test_the_threshold_itself_is_near_enough(cosine: float, same: bool) -> None:
    """1 - cosine may be 0.35, and no more."""
    (_, names) = keys(opened(), part(0, ("a", X, 9)), part(1, ("a", near(X, cosine), 9)))
    assert (names["a"] == "0") is same


def test_two_voices_of_one_part_are_never_one_person() -> None:
    """The second nearest is new, however near it is."""
    (_, names) = keys(
        opened(), part(0, ("a", X, 9)), part(1, ("a", near(X, 0.99), 9), ("b", near(X, 0.98), 9))
    )
    assert names == {"a": "0", "b": "1"}


def test_a_sure_match_is_not_given_up_for_two_poor_ones() -> None:
    """What is saved below the threshold counts, not how many are matched."""
    costs = [[0.01, 0.34], [0.30, 0.9]]
    assert assigned(costs, 0.35) == [(0, 0)]


@given(st.integers(1, 4), st.integers(1, 4), st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_the_assignment_saves_the_most_that_can_be_saved(
    rows: int, columns: int, chance: random.Random
) -> None:
    """Beside trying all of them."""
    costs = [[chance.random() for _ in range(columns)] for _ in range(rows)]
    found = assigned(costs, 0.5)
    assert len({row for row, _ in found}) == len({column for _, column in found}) == len(found)
    assert all(costs[row][column] <= 0.5 for row, column in found)
    padded = range(max(rows, columns))
    best = max(
        sum(
            max(0.0, 0.5 - costs[row][column])
            for row, column in enumerate(order)
            if row < rows and column < columns
        )
        for order in permutations(padded)
    )
    assert sum(0.5 - costs[row][column] for row, column in found) == pytest.approx(best)


def test_nothing_is_assigned_to_nothing() -> None:
    """A part without voices, or an empty gallery."""
    assert assigned([], 1.0) == assigned([[]], 1.0) == []


def test_a_short_voice_takes_no_place_from_a_long_one() -> None:
    """It is asked about second, though it is nearer."""
    (_, names) = keys(
        opened(), part(0, ("a", X, 9)), part(1, ("short", X, 0.4), ("long", near(X, 0.8), 9))
    )
    assert names["long"] == "0"
    assert names["short"] == "1"


def test_a_voice_is_the_mean_of_what_was_heard_and_long_turns_count_for_more() -> None:
    """A second of noise does not move it."""
    gallery = opened()
    gallery, _ = linked(gallery, part(0, ("a", X, 100)), RULES)
    gallery, names = linked(gallery, part(1, ("a", near(X, 0.7), 1)), RULES)
    assert names == {"a": "0"}
    voice = gallery.voices["0"]
    assert voice.seconds == 101
    assert distance(direction(voice.direction or ()) or (), X) < 1e-4


def test_a_known_voice_gets_its_name_and_stays_near_itself() -> None:
    """What the caller sent weighs half a minute."""
    gallery = opened([Known("Ann", Y)])
    gallery, names = linked(gallery, part(0, ("s1", X, 9), ("s2", near(Y, 0.8), 9)), RULES)
    assert gallery.voices[names["s2"]].name == "Ann"
    assert gallery.voices[names["s1"]].name is None
    pulled = direction(gallery.voices[names["s2"]].direction or ()) or ()
    assert distance(pulled, Y) < distance(near(Y, 0.8), Y) * 9 / KNOWN_SECONDS


# ---- without a voice


def test_without_embeddings_the_turns_both_parts_heard_decide() -> None:
    """Two seconds are enough."""
    gallery, _ = linked(opened(), part(0, ("a", (), 9), ("b", (), 9)), RULES)
    before = (Turn("0", 8, 10.8), Turn("1", 10.9, 12))
    heard = Heard(1, (Turn("x", 10.0, 10.7), Turn("y", 10.9, 20)), {}, before, (10.0, 12.0))
    _, names = linked(gallery, heard, RULES)
    assert names == {"x": "0", "y": "1"}


def test_turns_that_hardly_meet_decide_nothing() -> None:
    """Then everybody is new: a wrong name is worse than one more."""
    gallery, _ = linked(opened(), part(0, ("a", (), 9)), RULES)
    before = (Turn("0", 8, 10.4),)
    _, names = linked(gallery, Heard(1, (Turn("x", 10.0, 20),), {}, before, (10.0, 12.0)), RULES)
    assert names == {"x": "1"}


def test_a_voice_goes_before_a_turn() -> None:
    """Both spoke in the overlap; the embedding says who is who."""
    gallery, _ = linked(opened(), part(0, ("a", X, 9), ("b", Y, 9)), RULES)
    before = (Turn("0", 8, 12),)
    heard = Heard(1, (Turn("x", 10.0, 20),), {"x": Y}, before, (10.0, 12.0))
    assert linked(gallery, heard, RULES)[1] == {"x": "1"}


@pytest.mark.parametrize(
    "vector", [(), (0.0, 0.0), (float("nan"), 1.0), (float("inf"), 0.0), (1e308, 1e308, 1e308)]
)
def test_an_embedding_that_points_nowhere_is_none(vector: tuple[float, ...]) -> None:
    """It is not taken for a voice, and breaks nothing."""
    assert direction(vector) is None
    (first,) = keys(opened(), part(0, ("a", vector, 9)))
    assert first == {"a": "0"}


def test_embeddings_of_another_length_are_another_service_s() -> None:
    """They cannot be compared; the voice that was there stays."""
    first, second, third = keys(
        opened(), part(0, ("a", X, 9)), part(1, ("a", (1.0, 0.0), 9)), part(2, ("a", X, 9))
    )
    assert (first, second, third) == ({"a": "0"}, {"a": "1"}, {"a": "0"})


def test_a_diarizer_that_tells_a_thousand_voices_does_not_stop_us() -> None:
    """The longest are compared, the others are new."""
    chance = random.Random(1)
    crowd = [
        (f"s{n}", tuple(chance.gauss(0, 1) for _ in range(16)), float(n + 1)) for n in range(1000)
    ]
    gallery, names = linked(opened(), part(0, *crowd), RULES)
    assert len(set(names.values())) == 1000
    _, again = linked(gallery, part(1, *crowd), RULES)
    assert again["s999"] == names["s999"]
    assert settled(gallery, RULES)["0"] == "0"


def test_somebody_known_is_not_forgotten_among_many() -> None:
    """Though nothing was heard of them yet."""
    chance = random.Random(2)
    crowd = [(f"s{n}", tuple(chance.gauss(0, 1) for _ in range(16)), 9.0) for n in range(200)]
    ann = tuple(chance.gauss(0, 1) for _ in range(16))
    gallery, _ = linked(opened([Known("Ann", ann)]), part(0, *crowd), RULES)
    gallery, names = linked(gallery, part(1, ("x", ann, 9)), RULES)
    assert gallery.voices[names["x"]].name == "Ann"


# ---- at the end


def test_voices_that_turned_out_to_be_near_are_one_at_the_end() -> None:
    """A short first turn was far from its own voice."""
    gallery = opened()
    noisy = near(X, 0.6)
    for heard in (
        part(0, ("a", noisy, 2)),
        part(1, ("a", X, 60)),
        part(2, ("a", near(X, 0.9), 60)),
    ):
        gallery, _ = linked(gallery, heard, RULES)
    assert len(gallery.voices) == 2
    assert set(settled(gallery, RULES).values()) == {"0"}


def test_voices_that_were_heard_in_one_part_stay_two() -> None:
    """And so do two known people."""
    gallery, _ = linked(opened(), part(0, ("a", X, 9), ("b", near(X, 0.99), 9)), RULES)
    assert len(set(settled(gallery, RULES).values())) == 2
    assert len(set(settled(opened([Known("Ann", X), Known("Bob", X)]), RULES).values())) == 2


# ---- what it is for


def wrong_share(seed: int, *, link: bool) -> float:
    """Seconds with the wrong speaker, of a conversation of five voices that join over time: each
    part told in names of its own, with embeddings that are off as those of a real service are."""
    chance = random.Random(seed)
    voices = [[chance.gauss(0, 1) for _ in range(64)] for _ in range(5)]
    gallery, seconds = opened(), {}
    for number in range(20):
        present = chance.sample(range(min(5, 2 + number // 3)), k=2 + (number > 6))
        names = {who: f"S{n}" for n, who in enumerate(present)}
        lengths = {who: chance.choice([0.8, 4.0, 15.0, 40.0]) for who in present}
        told = [
            (
                names[who],
                tuple(x + chance.gauss(0, 0.5 + 0.6 / lengths[who]) for x in voices[who]),
                lengths[who],
            )
            for who in present
        ]
        gallery, found = linked(gallery, part(number, *told), RULES)
        for who in present:
            name = found[names[who]] if link else names[who]
            seconds[name, who] = seconds.get((name, who), 0.0) + lengths[who]
    if link:
        same = settled(gallery, RULES)
        merged: dict[tuple[str, int], float] = {}
        for (name, who), length in seconds.items():
            merged[same[name], who] = merged.get((same[name], who), 0.0) + length
        seconds = merged
    names_ = sorted({name for name, _ in seconds})
    costs = [[-seconds.get((name, who), 0.0) for who in range(5)] for name in names_]
    right = -sum(costs[row][column] for row, column in assigned(costs, 0.0))
    return 1 - right / sum(seconds.values())


def test_linked_labels_beat_those_that_the_parts_gave() -> None:
    """By far: each part names its speakers anew."""
    naive = [wrong_share(seed, link=False) for seed in range(10)]
    with_links = [wrong_share(seed, link=True) for seed in range(10)]
    assert sum(naive) / 10 > 0.35
    assert sum(with_links) / 10 < 0.02
