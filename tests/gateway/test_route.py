"""Which engine a name means, and the sentence when none does: pure decisions."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.base.errors import (
    InvalidRequest,
    ModelLoading,
    ModelNotFound,
    NotFound,
    Unavailable,
)
from server.base.health import Verdict
from server.config.model import Service, Settings
from server.gateway.listing import find, listing, state_of
from server.gateway.model import Operation
from server.gateway.operations import OPERATIONS
from server.gateway.pools import engine, pools, rewritten
from server.gateway.refusal import refusal
from server.gateway.reply import from_upstream, seconds
from server.gateway.route import Known, resolve
from server.gateway.wire import (
    error_frame,
    request_headers,
    response_headers,
    sane_request_id,
)
from server.swap.model import State
from tests.gateway.made import catalog, model, serving
from tests.swap.made import T0, record

MODELS = catalog(
    model(
        "tiny",
        aliases=("small",),
        variants={"high": {"reasoning_effort": "high"}},
    ),
    model("large"),
    model("off", enabled=False),
)
CHAT = OPERATIONS["/v1/chat/completions"]
SPEECH = OPERATIONS["/v1/audio/speech"]
TEXT = OPERATIONS["/v1/audio/transcriptions"]
VECTORS = OPERATIONS["/v1/embeddings"]
SCRUB = OPERATIONS["/scrub"]
THROUGH = OPERATIONS["/upstream"]
REALTIME = OPERATIONS["/v1/realtime"]


def service(name: str, kind: str, *models: str, **fields: Any) -> Service:
    return Service(name=name, kind=kind, host="spark-1", port=9000, models=models, **fields)


def pool(operation: Operation, name: str | None, *services: Service, **known: Any) -> str:
    known = {"catalog": MODELS, "services": services} | known
    return resolve(operation, name, Known(**known)).pool


class TestModels:
    def test_a_model_is_found_by_id_alias_and_variant(self) -> None:
        """The variant's fields go with the route."""
        for name in ("tiny", "small"):
            assert pool(CHAT, name) == "model:tiny"
        route = resolve(CHAT, "small:high", Known(MODELS))
        assert (route.pool, route.model, route.asked) == ("model:tiny", "tiny", "small:high")
        assert dict(route.params) == {"reasoning_effort": "high"}

    def test_the_catalog_of_now_decides_what_a_name_means(self) -> None:
        """An alias that was moved to another model no longer means what is served."""
        served = serving("large", names=("large", "small"))
        assert pool(CHAT, "small", layout=(served,)) == "model:tiny"
        assert pool(CHAT, "large", layout=(served,)) == "model:large"

    def test_a_model_taken_out_of_the_catalog_still_answers(self) -> None:
        """It is being served; that is the truth."""
        served = serving("gone", names=("gone", "old-alias"))
        assert pool(CHAT, "old-alias", layout=(served,)) == "model:gone"

    def test_a_disabled_model_does_not_exist_for_callers(self) -> None:
        """It is said to be disabled, and not named among what exists; served, it still answers."""
        with pytest.raises(ModelNotFound, match="disabled") as error:
            pool(CHAT, "off")
        assert "tiny, large" in error.value.message
        assert pool(CHAT, "off", layout=(serving("off"),)) == "model:off"

    def test_an_empty_catalog_is_said_to_be_empty(self) -> None:
        """The next step is to add a model."""
        with pytest.raises(ModelNotFound, match="catalog is empty"):
            pool(CHAT, "x", catalog=catalog())

    def test_a_route_without_a_place_for_a_name_means_the_one_that_is_served(self) -> None:
        """With two served, or where a name belongs into the body, it has to be said."""
        one, two = serving("tiny"), serving("large")
        assert pool(REALTIME, None, layout=(one,)) == "model:tiny"
        for operation, layout in ((REALTIME, (one, two)), (REALTIME, ()), (CHAT, (one,))):
            with pytest.raises(InvalidRequest, match="needs a model"):
                pool(operation, None, layout=layout)

    @given(st.text(max_size=400))
    def test_any_name_gets_an_answer(self, name: str) -> None:
        """No text breaks the sentence, and none is repeated at length."""
        with pytest.raises(ModelNotFound) as error:
            pool(CHAT, "?" + name)
        assert len(error.value.message) < 900


class TestServices:
    def test_a_claimed_name_leads_to_its_service(self) -> None:
        """By a name it claims, or by its own."""
        services = (service("kokoro", "tts", "tts-1"), service("piper", "tts"))
        assert pool(SPEECH, "tts-1", *services) == "service:kokoro"
        assert pool(SPEECH, "kokoro", *services) == "service:kokoro"
        assert pool(SPEECH, "whatever", *services) == "kind:tts"
        assert pool(SPEECH, None, *services) == "kind:tts"

    def test_services_that_claim_the_same_name_are_replicas(self) -> None:
        """Each of them may answer."""
        services = (service("a", "asr", "whisper"), service("b", "asr", "whisper"))
        assert pool(TEXT, "whisper", *services) == "group:asr:whisper"
        assert pool(TEXT, "b", *services) == "service:b"

    def test_a_name_that_nobody_claims_needs_a_service_that_takes_any(self) -> None:
        """Else it is not found, with what the services claim."""
        with pytest.raises(ModelNotFound, match=r"exist: tiny, large, whisper\."):
            pool(TEXT, "other", service("a", "asr", "whisper"))

    def test_a_model_of_the_catalog_is_not_taken_for_any_name(self) -> None:
        """Where both a kind of service and the engine answer: claimed, catalogued, then any."""
        anything = service("vectors", "embeddings")
        assert pool(VECTORS, "tiny", anything) == "model:tiny"
        assert pool(VECTORS, "bge", anything) == "kind:embeddings"
        assert pool(VECTORS, "tiny", service("v", "embeddings", "tiny")) == "service:v"

    def test_a_service_of_kind_llm_answers_to_the_names_it_claims(self) -> None:
        """It never takes a name that the catalog has."""
        ollama = service("ollama", "llm", "llama3", "tiny")
        assert pool(CHAT, "llama3", ollama) == "service:ollama"
        assert pool(CHAT, "tiny", ollama) == "model:tiny"
        with pytest.raises(ModelNotFound, match="tiny, large, llama3"):
            pool(CHAT, "other", ollama)

    def test_no_service_of_the_kind_is_said_with_the_entry_to_add(self) -> None:
        """The next step is in the answer."""
        with pytest.raises(NotFound) as error:
            pool(SPEECH, None)
        assert "kind: tts" in (error.value.advice or "")

    def test_a_route_of_one_service_goes_to_it_alone(self) -> None:
        """Another service of its kind is not that one, and without it we answer ourselves."""
        wiki = service("wiki", "other")
        assert pool(SCRUB, None, service("scrub", "other"), wiki) == "service:scrub"
        assert pool(SCRUB, None, wiki) == "service:scrub"

    def test_a_path_through_names_a_service_or_a_model(self) -> None:
        """Of any kind, and never whichever is free."""
        services = (service("wiki", "web"), service("kokoro", "tts"))
        assert pool(THROUGH, "wiki", *services) == "service:wiki"
        assert pool(THROUGH, "tiny", *services) == "model:tiny"
        with pytest.raises(ModelNotFound, match="wiki"):
            pool(THROUGH, "other", *services)


class TestPools:
    SETTINGS = Settings(
        hosts=({"name": "spark-1", "address": "fd00::1", "user": "u"},),  # type: ignore[arg-type]
        services=(
            service("a", "asr", "whisper"),
            service("b", "asr", "whisper", model_sent="openai/whisper", path_prefix="/api/"),
            service("c", "asr", max_in_flight=1),
        ),
    )

    def test_every_route_has_its_pool(self) -> None:
        """What `resolve` answers is a key of `pools`."""
        served = serving("tiny")
        made = pools(MODELS, (served,), self.SETTINGS, {"c": Verdict.down("no")})
        known = Known(MODELS, (served,), self.SETTINGS.services)
        for name in ("a", "whisper", "c", "anything", None):
            assert resolve(TEXT, name, known).pool in made
        assert [one.name for one in made["group:asr:whisper"]] == ["a", "b"]
        assert [one.name for one in made["kind:asr"]] == ["c"]
        assert [one.name for one in made["model:tiny"]] == ["tiny@spark-1"]
        assert made["model:large"] == ()
        assert "model:off" not in made

    def test_an_upstream_is_what_the_settings_and_the_fleet_say(self) -> None:
        """Address, prefix, cap and health; what was never probed is unknown, not down."""
        made = pools(MODELS, (), self.SETTINGS, {"c": Verdict.down("no")})
        (b,), (c,) = made["service:b"], made["service:c"]
        assert (b.base_url, b.cap, b.health.health) == ("http://[fd00::1]:9000/api", 2, "unknown")
        assert (c.cap, c.health.health) == (1, "down")

    def test_a_name_is_rewritten_only_when_the_upstream_does_not_know_it(self) -> None:
        """Bytes pass unchanged in all other cases."""
        tiny = engine(serving("tiny", names=("tiny", "small")))
        assert rewritten("small", "tiny", tiny) is None
        assert rewritten("small:high", "tiny", tiny) == "tiny"
        assert rewritten(None, "tiny", tiny) is None
        (b,) = pools(MODELS, (), self.SETTINGS, {})["service:b"]
        assert rewritten("whisper", "whisper", b) == "openai/whisper"
        (a,) = pools(MODELS, (), self.SETTINGS, {})["service:a"]
        assert rewritten("a", "a", a) == "whisper"


class TestRefusal:
    def test_another_model_being_served_is_named(self) -> None:
        """The caller learns why, and how to change it."""
        error = refusal("large", (serving("tiny"),), ())
        assert isinstance(error, Unavailable)
        assert "tiny is being served" in error.message
        assert error.retry_after

    def test_a_queued_swap_to_the_model_counts_as_loading(self) -> None:
        """Asking again later will help."""
        swaps = [
            record().with_(model="tiny", state=State.LOADING),
            record().with_(model="large", state=State.QUEUED),
        ]
        assert isinstance(refusal("large", (), swaps), ModelLoading)

    def test_a_swap_to_something_else_is_told(self) -> None:
        """Nothing is served yet, and what comes is not what was asked for."""
        error = refusal("large", (), [record().with_(model="tiny", state=State.LOADING)])
        assert not isinstance(error, ModelLoading)
        assert "tiny is being loaded" in error.message


class TestListing:
    def test_a_served_model_that_left_the_catalog_is_listed(self) -> None:
        """`/v1/models` never hides what answers."""
        entries = listing(MODELS, (serving("gone", names=("gone", "g")),), (), T0)
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
        assert state_of("large", (), [record().with_(model="large", state=swap)]) == expected

    def test_a_draining_model_is_not_said_to_be_serving(self) -> None:
        """It takes no new requests."""
        assert state_of("tiny", (serving("tiny", accepting=False),), ()) == "draining"


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
        ("body", "message", "param"),
        [
            (b'{"detail": "no such voice"}', "no such voice", None),
            (b'{"detail": {"error": "x", "message": "no such voice"}}', "no such voice", None),
            (
                b'{"detail": [{"loc": ["body", "language"], "msg": "Field required"}]}',
                "language: Field required",
                "language",
            ),
            (b'{"error": "no such voice"}', "no such voice", None),
        ],
    )
    def test_the_errors_of_other_servers_are_read_too(
        self, body: bytes, message: str, param: str | None
    ) -> None:
        """`detail` in its three shapes; a status that a caller can act on stays."""
        for status in (400, 404, 413, 415, 422):
            error = from_upstream(status, body, "kokoro", "/v1/audio/speech")
            assert (error.status, error.message, error.param) == (status, message, param)

    @pytest.mark.parametrize(
        ("value", "expected"), [(None, None), (b"7", 7.0), (b"-1", None), (b"Wed, 21", None)]
    )
    def test_retry_after_is_read_in_seconds(
        self, value: bytes | None, expected: float | None
    ) -> None:
        """Anything else is as good as none."""
        assert seconds(value) == expected
