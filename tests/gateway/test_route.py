"""Which engine a name means, and the sentence when none does: pure decisions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.base.errors import ModelLoading, ModelNotFound, Unavailable
from server.gateway.listing import find, listing, state_of
from server.gateway.reply import from_upstream, seconds
from server.gateway.route import matches, refusal, rewritten
from server.gateway.wire import (
    error_frame,
    request_headers,
    response_headers,
    sane_request_id,
)
from server.swap.model import State
from tests.gateway.made import catalog, model, serving
from tests.swap.made import T0, record

MODELS = catalog(model("tiny", aliases=("small",)), model("large"), model("off", enabled=False))


class TestRoute:
    def test_the_catalog_of_now_decides_what_a_name_means(self) -> None:
        """An alias that was moved to another model no longer means what is served."""
        served = serving("large", names=("large", "small"))
        assert not matches("small", MODELS, served)
        assert matches("large", MODELS, served)

    def test_a_model_taken_out_of_the_catalog_still_answers(self) -> None:
        """It is being served; that is the truth."""
        served = serving("gone", names=("gone", "old-alias"))
        assert matches("old-alias", MODELS, served)

    def test_a_name_is_rewritten_only_when_the_engine_does_not_know_it(self) -> None:
        """Bytes pass unchanged in all other cases."""
        served = serving("tiny", names=("tiny", "small"))
        assert rewritten("small", served) is None
        assert rewritten("younger", served) == "tiny"

    def test_a_disabled_model_does_not_exist_for_callers(self) -> None:
        """It is said to be disabled, and not named among what exists."""
        error = refusal("off", MODELS, None, ())
        assert isinstance(error, ModelNotFound)
        assert "disabled" in error.message
        assert "tiny, large" in error.message

    def test_an_empty_catalog_is_said_to_be_empty(self) -> None:
        """The next step is to add a model."""
        assert "catalog is empty" in refusal("x", catalog(), None, ()).message

    def test_another_model_being_served_is_named(self) -> None:
        """The caller learns why, and how to change it."""
        error = refusal("large", MODELS, serving("tiny"), ())
        assert isinstance(error, Unavailable)
        assert "tiny is being served" in error.message
        assert error.retry_after

    def test_a_queued_swap_to_the_model_counts_as_loading(self) -> None:
        """Asking again later will help."""
        swaps = [
            record().with_(model="tiny", state=State.LOADING),
            record().with_(model="large", state=State.QUEUED),
        ]
        assert isinstance(refusal("large", MODELS, None, swaps), ModelLoading)

    def test_a_swap_to_something_else_is_told(self) -> None:
        """Nothing is served yet, and what comes is not what was asked for."""
        swaps = [record().with_(model="tiny", state=State.LOADING)]
        error = refusal("large", MODELS, None, swaps)
        assert not isinstance(error, ModelLoading)
        assert "tiny is being loaded" in error.message

    @given(st.text(max_size=400))
    def test_any_name_gets_an_answer(self, name: str) -> None:
        """No text breaks the sentence, and none is repeated at length."""
        error = refusal(name, MODELS, None, ())
        assert len(error.message) < 900


class TestListing:
    def test_a_served_model_that_left_the_catalog_is_listed(self) -> None:
        """`/v1/models` never hides what answers."""
        entries = listing(MODELS, serving("gone", names=("gone", "g")), (), T0)
        assert entries[0]["id"] == "gone"
        assert find(entries, "g") == entries[0]
        assert "off" not in [entry["id"] for entry in entries]

    @pytest.mark.parametrize(
        ("swap", "expected"),
        [
            (State.QUEUED, "queued"),
            (State.LOADING, "loading"),
            (State.ROLLING_BACK, "loading"),
            (State.FAILED, "available"),
        ],
    )
    def test_the_state_of_a_model_follows_its_swap(self, swap: State, expected: str) -> None:
        """A swap that ended says nothing any more."""
        assert state_of("large", None, [record().with_(model="large", state=swap)]) == expected

    def test_a_draining_model_is_not_said_to_be_serving(self) -> None:
        """It takes no new requests."""
        assert state_of("tiny", serving("tiny", accepting=False), ()) == "draining"


class TestWire:
    @given(st.binary(max_size=200))
    def test_a_request_id_is_taken_only_when_it_can_stand_in_a_log_and_a_header(
        self, value: bytes
    ) -> None:
        """Anything else gets a new one."""
        found = sane_request_id(value)
        if found is not None:
            assert found.encode() == value
            assert found.isascii()
            assert found.isprintable()
            assert " " not in found

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(
                    [b"connection", b"te", b"x-a", b"x-b", b"upgrade", b"host", b"server"]
                ),
                st.sampled_from([b"x-a", b"close, X-B", b"1"]),
            )
        )
    )
    def test_what_belongs_to_one_hop_never_crosses(
        self, headers: list[tuple[bytes, bytes]]
    ) -> None:
        """Neither the well-known names nor those that Connection names."""
        named = {
            token.strip().lower()
            for key, value in headers
            if key == b"connection"
            for token in value.split(b",")
        }
        for kept in (request_headers(headers, "id"), response_headers(headers)):
            keys = {key for key, _ in kept}
            assert not keys & {b"connection", b"te", b"upgrade"}
            assert not keys & named

    def test_an_error_frame_is_one_event(self) -> None:
        """One data line: a newline in a message cannot start another field."""
        frame = error_frame(Unavailable("two\nlines\r\n\r\ndata: x"), "id")
        assert frame.count(b"\n") == 2
        assert frame.endswith(b"\n\n")


class TestReply:
    @given(st.integers(400, 599), st.binary(max_size=300))
    def test_any_answer_of_an_engine_becomes_an_error(self, status: int, body: bytes) -> None:
        """Whatever its body is, the caller gets one line."""
        error = from_upstream(status, body, "tiny", "/v1/x")
        assert "\n" not in error.message
        assert error.source == "tiny"

    def test_secrets_in_an_engines_words_are_removed(self) -> None:
        """The text of an upstream is not trusted with what it repeats."""
        body = b'{"error": {"message": "bad token hf_abcdefghijKLMNOP1234"}}'
        assert "hf_abc" not in from_upstream(400, body, "tiny", "/v1/x").message

    @pytest.mark.parametrize(
        ("value", "expected"), [(None, None), (b"7", 7.0), (b"-1", None), (b"Wed, 21", None)]
    )
    def test_retry_after_is_read_in_seconds(
        self, value: bytes | None, expected: float | None
    ) -> None:
        """Anything else is as good as none."""
        assert seconds(value) == expected
