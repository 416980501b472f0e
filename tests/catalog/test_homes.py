"""Fits now, would fit, cannot: from remembered figures, and unknown where one is missing."""

from dataclasses import replace
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.base.units import GIB
from server.catalog.homes import Spot, Stored, nowhere, outlook
from server.catalog.model import Model, Source

CONFIG = {
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "hidden_size": 4096,
    "head_dim": 128,
    "max_position_embeddings": 32768,
    "torch_dtype": "bfloat16",
    "model_type": "llama",
}
MODEL = Model("m", "M", Source(hf="a/m"), knobs=MappingProxyType({"gpu_memory_utilization": 0.5}))
FILES = Stored("spark-1", 17 * GIB, 16 * GIB, None, CONFIG)
ROOMY = Spot("spark-1", 120 * GIB, 110 * GIB)


def test_it_fits_now_with_the_sum_a_person_can_check():
    """Weights, KV cache and overhead add up to what is needed; what is free is named."""
    found = outlook(MODEL, [[ROOMY]], [FILES])
    assert found.answer == "now"
    assert "Weights 16.0 GiB + KV cache 4.0 GiB + overhead" in found.summary
    assert "110.0 GiB is free on spark-1" in found.summary
    sheet = found.homes[0].sheet
    assert sheet.need_bytes == 16 * GIB + (sheet.kv_bytes or 0) + (sheet.reserve_bytes or 0)


def test_what_an_engine_holds_is_counted_as_room_that_a_swap_makes():
    """It would fit once that is unloaded, and the sentence says who."""
    full = replace(ROOMY, available=20 * GIB, held=(("other", 90 * GIB),))
    found = outlook(MODEL, [[full]], [FILES])
    assert found.answer == "would"
    assert "110.0 GiB is free on spark-1 once other is unloaded" in found.summary


@pytest.mark.parametrize(
    ("held", "words"),
    [
        ((("other", None),), "how much other would give back is not known"),
        ((("other", 10 * GIB),), "stop something else too"),
        ((), "something has to be stopped there first"),
    ],
)
def test_a_machine_that_is_large_enough_but_full_would_take_it(held, words):
    """Also when nobody told what would be given back: that is said, not guessed."""
    found = outlook(MODEL, [[Spot("spark-1", 120 * GIB, 20 * GIB, held)]], [FILES])
    assert found.answer == "would"
    assert words in found.summary


def test_more_than_the_machine_has_cannot_fit_even_where_nothing_is_told_of_now():
    """The total does not age: a host that is away is still too small."""
    large = replace(FILES, weight_bytes=200 * GIB)
    found = outlook(MODEL, [[Spot("spark-1", 120 * GIB, None)]], [large])
    assert found.answer == "cannot"
    assert "more than the engine may take" in found.summary


@pytest.mark.parametrize(
    ("spot", "stored"),
    [
        (ROOMY, []),
        (Spot("spark-1", None, None), [FILES]),
        (Spot("spark-1", 120 * GIB, None), [FILES]),
        (ROOMY, [replace(FILES, config=None)]),
        (ROOMY, [replace(FILES, weight_bytes=None)]),
    ],
)
def test_what_was_not_told_stays_unknown(spot, stored):
    """Neither a yes nor a no is made of a missing figure."""
    assert outlook(MODEL, [[spot]], stored).answer == "unknown"


def test_the_best_home_answers_and_all_are_listed():
    """A model may go to any of them."""
    small = Spot("spark-2", 20 * GIB, 20 * GIB)
    found = outlook(MODEL, [[small], [ROOMY]], [FILES])
    assert found.answer == "now"
    assert [home.hosts for home in found.homes] == [("spark-1",), ("spark-2",)]
    assert found.homes[1].answer == "cannot"


def test_several_nodes_count_the_one_with_the_least():
    """Every node takes its part; the fullest one decides."""
    model = replace(MODEL, nodes=2)
    full = Spot("spark-2", 120 * GIB, 30 * GIB)
    assert outlook(model, [[ROOMY, full]], [FILES]).answer == "would"
    assert outlook(model, [[ROOMY, replace(full, available=None)]], [FILES]).answer == "unknown"


def test_what_is_served_fits_where_it_is_served():
    """Its own memory is not held against it."""
    mine = Spot("spark-1", 120 * GIB, 20 * GIB, (("m", 60 * GIB),))
    found = outlook(MODEL, [[mine]], [FILES])
    assert (found.answer, found.summary) == ("now", "It is being served on spark-1.")


def test_no_hosts_and_no_home_are_two_things():
    """Nothing to judge by, and nothing that could take it."""
    assert outlook(MODEL, [], [FILES]).answer == "unknown"
    assert nowhere("wants 2 nodes").answer == "cannot"


@settings(max_examples=100)
@given(
    total=st.integers(0, 400) | st.none(),
    available=st.integers(0, 400) | st.none(),
    held=st.lists(st.tuples(st.sampled_from("xyz"), st.integers(0, 300) | st.none()), max_size=3),
    weights=st.integers(0, 500) | st.none(),
    share=st.floats(0.05, 0.97),
)
def test_an_answer_of_now_is_never_given_against_the_figures(
    total, available, held, weights, share
):
    """Now means: all figures were told, and what it takes is not more than what is free."""
    model = replace(MODEL, knobs=MappingProxyType({"gpu_memory_utilization": share}))
    spot = Spot(
        "s",
        None if total is None else total * GIB,
        None if available is None else available * GIB,
        tuple((name, None if one is None else one * GIB) for name, one in held),
    )
    files = replace(FILES, host="s", weight_bytes=None if weights is None else weights * GIB)
    found = outlook(model, [[spot]], [files])
    if found.answer == "now":
        assert None not in {total, available, weights}
        assert total * share <= available + 0.001
    found.to_dict()
