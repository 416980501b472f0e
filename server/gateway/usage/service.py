"""Counts every request at its end, in memory, and saves the sums every few seconds.

A disk that is full or gone loses nothing: the sums stay in memory, bounded, until they can be
saved. A crash loses what was counted since the last save, ten seconds at most.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import date, timedelta

from server.base.clock import Clock
from server.base.errors import SparkError
from server.base.logs import get_logger
from server.gateway.model import Passage
from server.gateway.usage.ledger import UsageLedger
from server.gateway.usage.model import ANONYMOUS, OTHER, Place, Sums, day_of, joined

FLUSH_SECONDS = 10.0
KEPT_DAYS = 400
MOST = 10_000
"""Rows in memory at most; beyond that models and routes are summed up as `other`."""


class Usage:
    """An `Observer`: call it with a passage. `known` says whether a name is a model's or a
    service's, so that no caller can make rows by making up names."""

    def __init__(
        self,
        ledger: UsageLedger,
        clock: Clock,
        *,
        known: Callable[[str], bool] = lambda _name: True,
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._known = known
        self._log = get_logger("usage")
        self._rows: dict[Place, Sums] = {}
        self._booked: dict[int, Sums] = {}  # by passage, of those that go on
        self._saving = asyncio.Lock()
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stuck = False
        self._today: date | None = None
        self._written = ""

    async def start(self) -> None:
        """Raises what the database raises."""
        oldest = self._clock.now() - timedelta(days=KEPT_DAYS)
        await self._ledger.forget(day_of(oldest))
        self._task = asyncio.create_task(self._work(), name="save usage")

    async def close(self) -> None:
        """Waits for a save that is under way, so that none is done twice, then saves the rest."""
        self._closing.set()
        task, self._task = self._task, None
        if task is not None:
            await task
        await self.flush()

    def __call__(self, passage: Passage) -> None:
        model, key_id = passage.model, passage.caller.key_id or ANONYMOUS
        place = Place(self._day(), key_id, model, passage.route)
        row = self._rows.get(place)
        if row is None:
            row = self._row(self._place(passage))
        row.count(passage)
        if self._booked and (booked := self._booked.pop(id(passage), None)) is not None:
            row.take(booked)

    def amid(self, passage: Passage) -> None:
        """What a request that goes on for hours has cost since the last time, under the day that it
        is. It is counted as a request at its end, by `__call__`, which must come."""
        now, fresh = Sums(), Sums()
        now.cost(passage)
        fresh.add(now)
        if (booked := self._booked.get(id(passage))) is not None:
            fresh.take(booked)
        self._booked[id(passage)] = now
        self._row(self._place(passage)).add(fresh)

    def add_gpu_seconds(self, key_id: str | None, model: str, day: str, seconds: float) -> None:
        """For whoever measures them; of no route. `day` as in `day_of`."""
        self._row(Place(day, key_id or ANONYMOUS, model, "")).gpu_seconds += seconds

    async def rows(self, days: int) -> dict[Place, Sums]:
        """Of the last `days` days, today included and what is not saved yet as well."""
        first = day_of(self._clock.now() - timedelta(days=days - 1))
        async with self._saving:
            saved = await self._ledger.since(first)
            unsaved = {place: sums for place, sums in self._rows.items() if place.day >= first}
        return joined(saved, unsaved)

    async def today(self) -> Mapping[str, Sums]:
        """By the id of the key: what was used of the day's limits before a restart."""
        found: dict[str, Sums] = {}
        for place, sums in (await self.rows(1)).items():
            found.setdefault(place.key_id, Sums()).add(sums)
        return found

    async def flush(self) -> bool:
        """Save what was counted. False: it could not be, and is kept."""
        async with self._saving:
            rows, self._rows = self._rows, {}
            if not rows:
                return True
            try:
                await self._ledger.add(rows)
            except BaseException as error:
                self._rows = joined(rows, self._rows)
                if not isinstance(error, SparkError):
                    raise
                self._told(error)
                return False
        self._told(None)
        return True

    # -- inside

    def _day(self) -> str:
        """Written anew when it is another one."""
        today = self._clock.now().date()
        if today != self._today:
            self._today, self._written = today, today.isoformat()
        return self._written

    def _place(self, passage: Passage) -> Place:
        model, key_id = passage.model, passage.caller.key_id or ANONYMOUS
        if not model or not self._known(model):
            model = OTHER if model else ""
        return Place(self._day(), key_id, model, passage.route)

    def _row(self, place: Place) -> Sums:
        row = self._rows.get(place)
        if row is None:
            if len(self._rows) >= MOST:
                place = place._replace(model=OTHER, route=OTHER)
            row = self._rows.setdefault(place, Sums())
        return row

    async def _work(self) -> None:
        while not self._closing.is_set():
            try:
                async with asyncio.timeout(FLUSH_SECONDS):
                    await self._closing.wait()
            except TimeoutError:
                await self.flush()

    def _told(self, error: SparkError | None) -> None:
        """Once when saving begins to fail, once when it works again."""
        if error is not None and not self._stuck:
            self._log.warning("usage is kept in memory until it can be saved", reason=error.message)
        elif error is None and self._stuck:
            self._log.info("usage is saved again")
        self._stuck = error is not None
