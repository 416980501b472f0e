"""Who a caller is, whether it may, and what it is told when it may not."""

from datetime import timedelta
from pathlib import Path

import pytest

from server.base.errors import Forbidden, InvalidApiKey, ModelNotFound, RateLimited
from server.config.gateway import Anonymous
from server.gateway.keys.gate import unknown
from server.gateway.keys.guesses import Guesses
from server.gateway.keys.model import Draft
from server.gateway.limits.model import Limits
from server.gateway.model import Passage, Route, Used
from server.gateway.operations import OPERATIONS
from tests.gateway.keys.made import NOON, bearer, house

CHAT = OPERATIONS["/v1/chat/completions"]
QWEN = Route("model:qwen3-32b", "qwen3-32b", "qwen3-32b")
ANNA = "192.0.2.7"


async def test_a_key_makes_the_caller(tmp_path: Path) -> None:
    """With all that was decided about it, and never the secret."""
    async with house(tmp_path) as one:
        draft = Draft("laptop", models=("qwen",), priority=5, max_in_flight=2, swap="ask")
        minted = await one.keys.create(draft)
        caller = one.gate.identify(bearer(minted.text), ANNA)
        assert (caller.name, caller.address, caller.key_id) == ("laptop", ANNA, minted.key.id)
        assert (caller.priority, caller.max_in_flight, caller.swap) == (5, 2, "ask")
        assert caller.models == {"qwen"}
        assert one.keys.get("laptop").last_used_at == NOON
        assert minted.text.rpartition("-")[2] not in repr(caller)
        assert one.gate.identify(bearer(minted.text), "192.0.2.8").address == "192.0.2.8"
        await one.keys.replace("laptop", Draft("tablet"))
        assert one.gate.identify(bearer(minted.text), ANNA).name == "tablet"


@pytest.mark.parametrize("text", ["", "none", "sk-1234", "sk-proj-abc"])
async def test_without_a_key_everybody_is_anyone(tmp_path: Path, text: str) -> None:
    """SDKs insist on some key, so what does not claim to be ours is none."""
    async with house(tmp_path) as one:
        caller = one.gate.identify(bearer(text), ANNA)
        assert (caller.name, caller.address, caller.key_id) == ("anyone", ANNA, None)
        one.gate.allow(caller, CHAT, QWEN)
        one.require = True
        with pytest.raises(InvalidApiKey):
            one.gate.identify(bearer(text), ANNA)


async def test_a_wrong_key_is_refused_and_only_the_log_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where none is required; every reason sounds the same to the caller."""
    async with house(tmp_path) as one:
        gone = await one.keys.create(Draft("gone"))
        await one.keys.revoke("gone")
        late = await one.keys.create(Draft("late", expires_at=NOON + timedelta(hours=1)))
        one.clock.pass_(hours=2)
        said = set()
        for text in (gone.text, late.text, gone.text[:-1] + "!", "sk-spark-" + "0" * 56):
            with pytest.raises(InvalidApiKey) as refused:
                one.gate.identify(bearer(text), ANNA)
            said.add((refused.value.message, refused.value.advice))
            assert text.rpartition("-")[2] not in str([vars(line) for line in caplog.records])
        assert len(said) == 1
        reasons = [vars(line)["fields"]["reason"] for line in caplog.records]
        assert reasons == ["revoked", "expired", "malformed", "malformed"]


async def test_wrong_keys_from_one_address_are_slowed_down_and_right_ones_never(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Behind one proxy everybody has the same address."""
    async with house(tmp_path) as one:
        right = await one.keys.create(Draft("right"))
        wrong = bearer("sk-spark-wrong")
        for _ in range(20):
            with pytest.raises(InvalidApiKey):
                one.gate.identify(wrong, ANNA)
        with pytest.raises(RateLimited) as slowed:
            one.gate.identify(wrong, ANNA)
        assert slowed.value.retry_after == pytest.approx(3.0)
        assert len(caplog.records) == 20
        assert one.gate.identify(bearer(right.text), ANNA).name == "right"
        with pytest.raises(InvalidApiKey):
            one.gate.identify(wrong, "192.0.2.8")
        one.clock.pass_(seconds=3.1)
        with pytest.raises(InvalidApiKey):
            one.gate.identify(wrong, ANNA)


def test_addresses_that_guess_are_forgotten_in_the_end() -> None:
    """No flood of addresses fills the memory; the newest are kept."""
    guesses = Guesses(per_minute=1, addresses=3)
    assert guesses.failed("a", 0.0) == 0
    assert guesses.failed("a", 0.0) == 60
    for address in "bcd":
        guesses.failed(address, 0.0)
    assert guesses.failed("a", 0.0) == 0
    assert guesses.failed("d", 0.0) == 60


async def test_a_key_without_the_scope_may_not_use_the_gateway(tmp_path: Path) -> None:
    """403, with what to do."""
    async with house(tmp_path) as one:
        minted = await one.keys.create(Draft("reader", scopes=frozenset({"read", "admin"})))
        caller = one.gate.identify(bearer(minted.text), ANNA)
        with pytest.raises(Forbidden, match="'reader' may not use the gateway"):
            one.gate.allow(caller, CHAT, QWEN)
        with pytest.raises(Forbidden, match="'reader' may not use the gateway"):
            one.gate.enter(caller)
        one.gate.enter(one.gate.identify([], ANNA))


async def test_callers_without_a_key_have_limits_of_their_own(tmp_path: Path) -> None:
    """Each address for itself, from the settings of now; keys are not touched by them."""
    async with house(tmp_path) as one:
        minted = await one.keys.create(Draft("laptop"))
        anna, ben = one.gate.identify([], ANNA), one.gate.identify([], "192.0.2.8")
        assert anna.max_in_flight is None
        assert one.gate.headers_for(anna) == []
        one.anonymous = Anonymous(requests_per_minute=1, tokens_per_day=100, max_in_flight=3)
        anna, ben = one.gate.identify([], ANNA), one.gate.identify([], "192.0.2.8")
        assert anna.max_in_flight == 3
        one.gate.allow(anna, CHAT, QWEN)
        with pytest.raises(RateLimited, match=r"192.0.2.7, which sends no API key, .* 1 requests"):
            one.gate.allow(anna, CHAT, QWEN)
        assert dict(one.gate.headers_for(anna))[b"x-ratelimit-remaining-requests"] == b"0"
        one.gate.ended(Passage("r", NOON, 0.0, CHAT.path, ben, used=Used(60, 60)))
        with pytest.raises(RateLimited, match="100 tokens a day"):
            one.gate.allow(ben, CHAT, QWEN)
        laptop = one.gate.identify(bearer(minted.text), ANNA)
        for _ in range(5):
            one.gate.allow(laptop, CHAT, QWEN)
        one.anonymous = Anonymous()
        one.gate.allow(one.gate.identify([], ANNA), CHAT, QWEN)


async def test_a_look_ahead_counts_nothing(tmp_path: Path) -> None:
    """It says what would be refused whatever the model, for who has much to send."""
    async with house(tmp_path) as one:
        minted = await one.keys.create(Draft("k", limits=Limits(1)))
        reader = await one.keys.create(Draft("reader", scopes=frozenset({"read"})))
        caller = one.gate.identify(bearer(minted.text), ANNA)
        for _ in range(3):
            one.gate.look(caller, CHAT)
        one.gate.allow(caller, CHAT, QWEN)
        with pytest.raises(RateLimited, match="1 requests a minute"):
            one.gate.look(caller, CHAT)
        one.gate.look(one.gate.identify([], ANNA), CHAT)
        with pytest.raises(Forbidden):
            one.gate.look(one.gate.identify(bearer(reader.text), ANNA), CHAT)


async def test_a_model_that_is_not_allowed_does_not_exist(tmp_path: Path) -> None:
    """By alias or id, of the key or of the request; by name for services. The words are those for
    a model that really does not exist."""
    async with house(tmp_path) as one:
        minted = await one.keys.create(Draft("laptop", models=("qwen", "kokoro")))
        caller = one.gate.identify(bearer(minted.text), ANNA)
        one.gate.allow(caller, CHAT, QWEN)
        one.gate.allow(caller, CHAT, Route("model:qwen3-32b", "qwen3-32b", "qwen"))
        one.gate.allow(caller, CHAT, Route("service:kokoro", "tts-1", None))
        assert one.gate.sees(caller, ["qwen3-32b"])
        assert not one.gate.sees(caller, ["large", "big"])
        with pytest.raises(ModelNotFound) as refused:
            one.gate.allow(caller, CHAT, Route("model:large", "large", "big"))
        assert refused.value.message == unknown("big").message
        with pytest.raises(ModelNotFound):
            one.gate.allow(caller, CHAT, Route("kind:embeddings", "embeddings", None))


async def test_limits_hold_and_are_told(tmp_path: Path) -> None:
    """Requests when they come, tokens when an answer has ended; changes count at once."""
    async with house(tmp_path) as one:
        minted = await one.keys.create(Draft("k", limits=Limits(2, 100)))
        caller = one.gate.identify(bearer(minted.text), ANNA)
        one.gate.allow(caller, CHAT, QWEN)
        passage = Passage("r", NOON, 0.0, CHAT.path, caller, used=Used(50, 51))
        one.gate.ended(passage)
        with pytest.raises(RateLimited, match="100 tokens a minute"):
            one.gate.allow(caller, CHAT, QWEN)
        told = dict(one.gate.headers_for(caller))
        assert told[b"x-ratelimit-remaining-requests"] == b"1"
        assert told[b"x-ratelimit-remaining-tokens"] == b"0"
        await one.keys.replace("k", Draft("k"))
        one.gate.allow(caller, CHAT, QWEN)
        assert one.gate.headers_for(caller) == []
        assert one.gate.headers_for(one.gate.identify([], ANNA)) == []


async def test_an_answer_that_was_kept_costs_nothing(tmp_path: Path) -> None:
    """The GPU had no part in it."""
    async with house(tmp_path) as one:
        minted = await one.keys.create(Draft("k", limits=Limits(tokens_per_day=10)))
        caller = one.gate.identify(bearer(minted.text), ANNA)
        one.gate.ended(Passage("r", NOON, 0.0, CHAT.path, caller, used=Used(50, 50), cached=True))
        one.gate.allow(caller, CHAT, QWEN)


async def test_a_restart_is_no_new_day(tmp_path: Path) -> None:
    """What was used today is read back from the sums; at midnight it is over."""
    async with house(tmp_path) as one:
        minted = await one.keys.create(Draft("k", limits=Limits(tokens_per_day=100)))
        caller = one.gate.identify(bearer(minted.text), ANNA)
        one.usage(Passage("r", NOON, 0.0, CHAT.path, caller, model="m", used=Used(60, 40)))
    async with house(tmp_path) as again:
        caller = again.gate.identify(bearer(minted.text), ANNA)
        with pytest.raises(RateLimited) as refused:
            again.gate.allow(caller, CHAT, QWEN)
        assert refused.value.retry_after == 12 * 3600
        again.clock.pass_(hours=12)
        again.gate.allow(caller, CHAT, QWEN)
