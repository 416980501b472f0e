"""Looks after what is served: notices that an engine died, that a host came back, that one strayed.

Runs inside the swap writer between swaps, so that it never races one. What follows a death is
decided by `swap.after`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

from server.base.clock import Clock
from server.base.health import Health, Verdict
from server.base.logs import get_logger
from server.config.model import Settings
from server.launch.model import Engine, LaunchSpec
from server.swap.after import WINDOW, Reaction, after_death, strays
from server.swap.ground import Ground
from server.swap.ledger import Ledger
from server.swap.model import Deployment, Serving, State, SwapRecord
from server.swap.node import swap_of
from server.swap.showing import Showing

FAILED_LOOKS = 2
"""Looks in a row that must find the engine gone: one may fall into a moment of restart."""
SECOND_LOOK_SECONDS = 0.5
BACK = "watchdog: back to the model before"


class Vigil:
    """`again` enqueues a forced swap to a spec, where it was or wherever it may go;
    `look` is called every few seconds when idle."""

    def __init__(
        self,
        *,
        ground: Ground,
        ledger: Ledger,
        showing: Showing,
        settings: Callable[[], Settings],
        clock: Clock,
        again: Callable[[LaunchSpec, str, bool], Awaitable[SwapRecord | None]],
    ) -> None:
        self._ground = ground
        self._ledger = ledger
        self._showing = showing
        self._settings = settings
        self._clock = clock
        self._again = again
        self._log = get_logger("swap")
        self._restarts: dict[str, list[datetime]] = {}
        self._given_up: dict[str, datetime] = {}
        self._restart: str | None = None
        self._bad_looks: dict[str, int] = {}
        self._swept: frozenset[str] = frozenset()

    async def ended(self, record: SwapRecord) -> None:
        """A swap ended: what was seen before it says nothing about what runs now. When it was the
        restart of an engine that had died, and failed, the model before is loaded: once."""
        self._bad_looks = {}
        self._swept = frozenset()
        ours, self._restart = record.id == self._restart, None
        if not ours or record.state is not State.FAILED or record.model is None:
            return
        now = self._clock.now()
        earlier = await self._earlier(record.model, now)
        if earlier is not None:
            self._showing.notice(
                "error",
                f"{record.model} could not be restarted. The model before it is loaded instead.",
            )
            self._given_up[record.model] = now
            await self._again(earlier, BACK, False)

    def pause(self, seconds: float) -> float:
        """Until the next look: `seconds`, but less while the engine is thought to be gone."""
        return min(seconds, SECOND_LOOK_SECONDS) if self._bad_looks else seconds

    async def look(self) -> None:
        """One look: is what serves still there, and did a host come back that must be swept."""
        layout = self._showing.layout
        verdicts = await asyncio.gather(*(self._ground.alive(s.deployment) for s in layout))
        self._bad_looks = {
            model: bad for model, bad in self._bad_looks.items() if self._showing.find(model)
        }
        for serving, verdict in zip(layout, verdicts, strict=True):
            await self._judge(serving, verdict)
        up = self._ground.reachable()
        self._swept &= up
        for host in sorted(up - self._swept):
            if await self._sweep(host):
                self._swept |= {host}

    async def _judge(self, serving: Serving, verdict: Verdict) -> None:
        if verdict.health is not Health.DOWN:
            self._bad_looks.pop(serving.model, None)
            self._showing.judge(serving.model, verdict)
            return
        bad = self._bad_looks.get(serving.model, 0) + 1
        self._bad_looks[serving.model] = bad
        if bad >= FAILED_LOOKS:
            del self._bad_looks[serving.model]
            await self._died(serving, verdict)

    async def _died(self, serving: Serving, verdict: Verdict) -> None:
        spec = serving.deployment.spec
        error = await self._ground.explain(spec, serving.deployment.engine)
        now = self._clock.now()
        restarts = self._restarts.setdefault(serving.model, [])
        earlier = await self._earlier(serving.model, now)
        engine = self._settings().engine
        reaction, sentence = after_death(
            engine.on_death,
            restarts=restarts,
            limit=engine.restart_limit,
            earlier=earlier is not None,
            now=now,
        )
        self._log.error("engine.died", model=serving.model, reason=verdict.reason, then=reaction)
        gone = (serving.model,)
        await self._ledger.save_served(None, self._showing.after(None, gone), now)
        self._showing.show(drop=gone)
        self._showing.notice(
            "error",
            f"{serving.model} on {spec.head.host} died: {error.message} {sentence}",
            advice=error.advice,
            log_excerpt=error.log_excerpt,
        )
        if reaction is Reaction.RESTART:
            self._restarts[serving.model] = [*restarts[-20:], now]
            restart = await self._again(spec, "watchdog: restart after the engine died", True)
            self._restart = restart.id if restart else None
        elif reaction is Reaction.ROLL_BACK and earlier is not None:
            self._given_up[serving.model] = now
            await self._again(earlier, BACK, False)
        else:
            await self._clear(serving.deployment)

    async def _earlier(self, model: str, now: datetime) -> LaunchSpec | None:
        """The last other model that served and was not given up lately: two that keep dying must
        not take turns for ever."""
        for record in await self._ledger.history(50):
            taken = record.model in {None, model} or self._showing.find(record.model)
            if record.state is State.SERVING and not taken:
                left = self._given_up.get(record.model or "")
                if record.target and (left is None or now - left >= WINDOW):
                    return record.target
        return None

    async def _clear(self, deployment: Deployment) -> None:
        """Half an engine over several nodes serves nobody, but holds memory: it goes as well."""
        seen = await self._ground.observe([node.host for node in deployment.spec.nodes])
        for engine in (one for engines in seen.values() for one in engines or ()):
            if engine.running and engine.tag == deployment.engine.tag:
                await self._ground.remove(engine)

    async def _sweep(self, host: str) -> bool:
        """A host came back: adopt an engine of ours when there is room for it, stop strays. False
        when the host did not say what runs there: it is asked again."""
        seen = (await self._ground.observe([host])).get(host)
        if seen is None:
            return False
        known = {tag for tag in {e.tag for e in seen} if await self._record_of(tag)}
        for engine in strays(seen, self._showing.tags, frozenset(known)):
            if await self._adopt_engine(engine):
                continue
            await self._stop_stray(engine)
        return True

    async def _record_of(self, tag: str) -> SwapRecord | None:
        return await self._ledger.get(swap_of(tag)[0])

    async def _spec_of(self, engine: Engine) -> LaunchSpec | None:
        record = await self._record_of(engine.tag)
        number = swap_of(engine.tag)[1]
        if record is None or number is None:
            return record.target if record else None
        came_back = record.comebacks
        return came_back[number].spec if number < len(came_back) else None

    async def _adopt_engine(self, engine: Engine) -> bool:
        full = len(self._showing.layout) >= self._settings().engine.max_models
        if full or self._showing.find(engine.model):
            return False
        spec = await self._spec_of(engine)
        if spec is None or engine.host != spec.head.host:
            return False
        try:
            proof = await self._ground.prove(spec, engine)
        except Exception as error:  # whatever it is, it does not answer: it is not adopted
            self._log.warning("engine.not_adopted", tag=engine.tag, error=str(error))
            return False
        now = self._clock.now()
        deployment = Deployment(spec, engine, now, proof.max_model_len)
        await self._ledger.save_served(None, self._showing.after(deployment, ()), now)
        self._showing.show(deployment)
        self._showing.notice(
            "info", f"{spec.model} was found running on {engine.host} and serves again."
        )
        return True

    async def _stop_stray(self, engine: Engine) -> None:
        self._showing.notice(
            "warning", f"A left-over engine ({engine.model}) on {engine.host} is stopped."
        )
        await self._ground.remove(engine)
