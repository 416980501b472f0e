"""The `Gatekeeper`: who a caller is by its key, whether it may, and what its answers cost it.

Sync and from memory. A refusal tells a caller no more than that its key is not valid; why is in the
log. A model that a key may not use does not exist for it.
"""

from collections.abc import Callable, Iterable, Mapping

from server.base.clock import Clock
from server.base.errors import Forbidden, InvalidApiKey, ModelNotFound, RateLimited
from server.base.logs import get_logger
from server.config.gateway import Anonymous
from server.gateway.keys import token
from server.gateway.keys.guesses import Guesses
from server.gateway.keys.model import Key
from server.gateway.keys.service import Keys
from server.gateway.limits.headers import headers_of
from server.gateway.limits.limiter import Account, Limiter, Moment
from server.gateway.limits.model import NO_LIMITS, Limits
from server.gateway.limits.strangers import Strangers
from server.gateway.model import ANYONE, Caller, Operation, Passage, Route, Router
from server.gateway.usage.model import Sums
from server.gateway.wire import Header

GATEWAY = "gateway"
_KEPT = 1024


class Gate:
    """`require_key`: whether a request without one is refused. `canonical` gives the id of a model
    by any of its names (and any other name as it is). `anonymous`: the settings for callers without
    a key, of now. `ended` is an `Observer`."""

    def __init__(
        self,
        keys: Keys,
        limiter: Limiter,
        clock: Clock,
        *,
        require_key: Callable[[], bool] = lambda: False,
        canonical: Callable[[str], str] = lambda name: name,
        anonymous: Callable[[], Anonymous] | None = None,
    ) -> None:
        self._keys = keys
        self._limiter = limiter
        self._clock = clock
        self._require_key = require_key
        self._canonical = canonical
        self._rules, self._limits = Anonymous(), NO_LIMITS
        self._anonymous = anonymous or (lambda: self._rules)
        self._strangers = Strangers()
        self._guesses = Guesses()
        self._log = get_logger("keys")
        # Making a caller costs more than everything else here: the same one is used again.
        self._callers: dict[tuple[str | None, str], Caller] = {}
        self._lasting: dict[str, int] = {}
        self._edition = 1
        keys.changed.append(self._changed)
        self._follow_settings()

    def identify(self, headers: Iterable[Header], address: str) -> Caller:
        text = token.presented(headers)
        caller = self.recognised(text, address)
        if caller is not None:
            return caller
        if text is None:
            raise InvalidApiKey(
                "An API key is required here.",
                advice="Send it as `Authorization: Bearer sk-spark-…`; "
                "`spark-control keys create NAME` makes one.",
            )
        why = self._keys.find(text)[1] if token.is_ours(text) else "not one of ours"
        raise self._refused(text, why, address)

    def recognised(self, key: str | None, address: str) -> Caller | None:
        """Who presents this key (None: no key); None when it is refused, for `identify` to tell."""
        if key is not None and token.is_ours(key):
            found, _ = self._keys.find(key)
            if found is None:
                return None
            self._keys.used(found)
            if found.draft.expires_at is None:
                self._lasting[found.id] = self._edition
            return self._callers.get((found.id, address)) or self._caller(found, address)
        if self._require_key():
            return None
        if self._anonymous() is not self._rules:
            self._follow_settings()
        return self._callers.get((None, address)) or self._caller(None, address)

    def edition(self, caller: Caller) -> int:
        """While this is the same, `recognised` says the same of the caller's key. 0: ask anew."""
        return self._lasting.get(caller.key_id or "", 0)

    def enter(self, caller: Caller) -> None:
        if GATEWAY not in caller.scopes:
            raise Forbidden(
                f"The key {caller.name!r} may not use the gateway.",
                advice="Give it the scope `gateway`, or use another key.",
            )

    def allow(self, caller: Caller, operation: Operation, route: Route) -> None:
        self.enter(caller)
        if caller.models and not self._may_use(caller, route):
            raise unknown(route.asked or route.model)
        account = self._account(caller)
        if account is not None and account.limits:
            at = Moment(self._clock.monotonic(), self._clock.now().timestamp())
            error = account.check(_spoken(caller), operation, at)
            if error is not None:
                raise error

    def look(self, caller: Caller, operation: Operation) -> None:
        self.enter(caller)
        account = self._account(caller)
        if account is not None:
            at = Moment(self._clock.monotonic(), self._clock.now().timestamp())
            error = account.refusal(_spoken(caller), operation, at)
            if error is not None:
                raise error

    def sees(self, caller: Caller, names: Iterable[str]) -> bool:
        """Whether something of these names may be listed to `caller`."""
        allowed = caller.models
        if not allowed or not allowed.isdisjoint(names := tuple(names)):
            return True
        # Not word for word: an alias on either side means its model.
        return not {*map(self._canonical, allowed)}.isdisjoint(map(self._canonical, names))

    def headers_for(self, caller: Caller) -> list[Header]:
        """`x-ratelimit-*` for an answer to `caller`; none for one without limits."""
        account = self._account(caller)
        if account is None or (account.requests is None and account.tokens is None):
            return []
        return headers_of(account, self._clock.monotonic())

    def ended(self, passage: Passage) -> None:
        """Charge what the answer cost. One that was kept (cache) cost nothing."""
        now, caller = self._clock.now(), passage.caller
        if caller.key_id is not None:
            self._keys.seen(caller.key_id, now)
        account = None if passage.cached else self._account(caller)
        if account is not None:
            at = Moment(passage.ended or self._clock.monotonic(), now.timestamp())
            account.spend(passage.used, at, passage.charged)

    def spend(self, passage: Passage, operation: Operation) -> RateLimited | None:
        account = self._account(passage.caller)
        if account is None:
            return None
        at = Moment(self._clock.monotonic(), self._clock.now().timestamp())
        account.spend(passage.used, at, passage.charged)
        passage.charged = passage.used
        return account.refusal(_spoken(passage.caller), operation, at, anew=False)

    def restore(self, today: Mapping[str, Sums]) -> None:
        """What each key (by id) has used of its day before a restart."""
        wall = self._clock.now().timestamp()
        for key_id, sums in today.items():
            tokens = sums.prompt_tokens + sums.completion_tokens
            self._limiter.restore(key_id, tokens, sums.audio_seconds, wall)

    # -- inside

    def _account(self, caller: Caller) -> Account | None:
        if caller.key_id is not None:
            return self._limiter.account(caller.key_id)
        return self._strangers.account(caller.address, self._limits)

    def _follow_settings(self) -> None:
        """What is known of callers without a key was made from other settings."""
        self._rules = rules = self._anonymous()
        self._limits = Limits(
            rules.requests_per_minute,
            rules.tokens_per_minute,
            rules.tokens_per_day,
            rules.audio_seconds_per_day,
            rules.audio_seconds_per_minute,
        )
        self._callers.clear()

    def _may_use(self, caller: Caller, route: Route) -> bool:
        asked = () if route.asked is None else (route.asked,)
        return self.sees(caller, (route.model, route.pool.partition(":")[2], *asked))

    def _refused(self, text: str, why: str, address: str) -> InvalidApiKey | RateLimited:
        wait = self._guesses.failed(address, self._clock.monotonic())
        if wait:
            return RateLimited(
                "Too many requests with an API key that is not valid came from this address.",
                advice="Set the right key; requests that carry it are answered at once.",
                retry_after=wait,
            )
        found = token.parsed(text)
        self._log.warning(
            "key refused", reason=why, key_id=found.id if found else None, address=address
        )
        return InvalidApiKey(
            "This API key is not valid.",
            advice="`spark-control keys list` shows the keys that are.",
        )

    def _caller(self, key: Key | None, address: str) -> Caller:
        if len(self._callers) >= _KEPT:
            self._callers.clear()
        if key is None:
            caller = Caller(ANYONE.name, address, max_in_flight=self._rules.max_in_flight)
        else:
            draft = key.draft
            caller = Caller(
                name=draft.name,
                address=address,
                key_id=key.id,
                priority=draft.priority,
                max_in_flight=draft.max_in_flight,
                models=frozenset(draft.models),
                scopes=frozenset(draft.scopes),
                swap=draft.swap,
            )
        self._callers[caller.key_id, address] = caller
        return caller

    def _changed(self, key: Key) -> None:
        self._callers.clear()
        self._lasting.clear()
        self._edition += 1
        if key.revoked_at is None:
            self._limiter.set(key.id, key.draft.limits)
        else:
            self._limiter.forget(key.id)


def _spoken(caller: Caller) -> str:
    """How a sentence about it begins."""
    if caller.key_id is None:
        return f"{caller.address or 'This address'}, which sends no API key,"
    return f"The key {caller.name!r}"


def resolved(router: Router, operation: Operation, name: str | None, caller: Caller) -> Route:
    """What `name` means. Who may use some models only is not told the names of the others, as the
    router's own refusal would."""
    try:
        return router.resolve(operation, name)
    except ModelNotFound:
        if caller.models:
            raise unknown(name or "") from None
        raise


def unknown(name: str) -> ModelNotFound:
    """Word for word the same for a model that does not exist and one that a key may not use."""
    return ModelNotFound(
        f"The model {name[:100]!r} does not exist.",
        param="model",
        advice="GET /v1/models lists what can be asked for.",
    )
