"""What of swaps must outlive us: records, what is served, learned phase times. Owns its SQL.

A record and what is served are saved in one transaction, so that a crash between the two is not
a state. Errors are those of `store.database`: a full or read-only disk is told to the caller.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from server.base.clock import iso
from server.store.database import Database
from server.store.tables import facts, phase_times, swap_logs, swaps
from server.swap.estimate import KEEP
from server.swap.log import SwapLog
from server.swap.model import Deployment, Past, SwapRecord

SERVED = "served"
KEPT_LOGS = 100
"""Swaps whose log is kept."""
NEWEST_FIRST = (swaps.c.created_at.desc(), swaps.c.id.desc())


class Ledger:
    """One per app, over the one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, *records: SwapRecord) -> None:
        """All of them or none."""
        async with self._database.begin() as connection:
            for record in records:
                await self._put(connection, record)

    async def save_served(
        self, record: SwapRecord | None, layout: Sequence[Deployment], now: datetime
    ) -> None:
        """The record (when there is one) and all that is served, or neither."""
        async with self._database.begin() as connection:
            if record is not None:
                await self._put(connection, record)
            await connection.execute(delete(facts).where(facts.c.name == SERVED))
            value = json.dumps([served.to_dict() for served in layout])
            await connection.execute(facts.insert().values(name=SERVED, value=value, at=iso(now)))

    async def _put(self, connection: AsyncConnection, record: SwapRecord) -> None:
        row = {
            "id": record.id,
            "created_at": iso(record.created_at),
            "finished_at": iso(record.finished_at),
            "state": record.state.value,
            "model": record.model,
            "record": json.dumps(record.to_saved()),
        }
        updated = await connection.execute(
            swaps.update().where(swaps.c.id == record.id).values(**row)
        )
        if updated.rowcount == 0:
            await connection.execute(swaps.insert().values(**row))

    async def served(self) -> tuple[Deployment, ...]:
        """Oldest first. Before there was a layout, the fact was one deployment or null."""
        async with self._database.begin() as connection:
            query = select(facts.c.value).where(facts.c.name == SERVED)
            value = (await connection.execute(query)).scalar_one_or_none()
        body = json.loads(value) if value else None
        found = body if isinstance(body, list) else [body] if body else []
        return tuple(Deployment.from_dict(one) for one in found)

    async def get(self, swap_id: str) -> SwapRecord | None:
        async with self._database.begin() as connection:
            query = select(swaps.c.record).where(swaps.c.id == swap_id)
            value = (await connection.execute(query)).scalar_one_or_none()
        return SwapRecord.from_saved(json.loads(value)) if value else None

    async def unfinished(self) -> list[SwapRecord]:
        """Oldest first."""
        async with self._database.begin() as connection:
            query = (
                select(swaps.c.record)
                .where(swaps.c.finished_at.is_(None))
                .order_by(swaps.c.created_at, swaps.c.id)
            )
            rows = (await connection.execute(query)).scalars().all()
        return [SwapRecord.from_saved(json.loads(row)) for row in rows]

    async def history(self, limit: int, wanted: Past | None = None) -> list[SwapRecord]:
        """Newest first."""
        query = select(swaps.c.record).order_by(*NEWEST_FIRST).limit(limit)
        if wanted is not None:
            query = query.where(*_conditions(wanted))
        async with self._database.begin() as connection:
            rows = (await connection.execute(query)).scalars().all()
        return [SwapRecord.from_saved(json.loads(row)) for row in rows]

    async def keep_log(self, swap_id: str, log: SwapLog) -> None:
        """The end of it, and forget those of all but the newest swaps."""
        row = {"id": swap_id, "log": json.dumps(log.to_saved())}
        newest = select(swap_logs.c.id).order_by(swap_logs.c.id.desc()).limit(KEPT_LOGS)
        async with self._database.begin() as connection:
            await connection.execute(delete(swap_logs).where(swap_logs.c.id == swap_id))
            await connection.execute(swap_logs.insert().values(**row))
            kept = (await connection.execute(newest)).scalars().all()
            await connection.execute(delete(swap_logs).where(swap_logs.c.id < kept[-1]))

    async def log(self, swap_id: str) -> SwapLog | None:
        async with self._database.begin() as connection:
            query = select(swap_logs.c.log).where(swap_logs.c.id == swap_id)
            value = (await connection.execute(query)).scalar_one_or_none()
        return SwapLog.from_saved(json.loads(value)) if value else None

    async def learn(self, key: str, times: Mapping[str, float], now: datetime) -> None:
        """Add one load's phase times and forget all but the newest few of each phase."""
        if not times:
            return
        async with self._database.begin() as connection:
            rows = [
                {"key": key, "phase": phase, "seconds": seconds, "at": iso(now)}
                for phase, seconds in times.items()
            ]
            await connection.execute(phase_times.insert(), rows)
            for phase in times:
                mine = (phase_times.c.key == key) & (phase_times.c.phase == phase)
                kept = (
                    select(phase_times.c.id)
                    .where(mine)
                    .order_by(phase_times.c.id.desc())
                    .limit(KEEP)
                )
                ids = (await connection.execute(kept)).scalars().all()
                await connection.execute(
                    delete(phase_times).where(mine & phase_times.c.id.not_in(ids))
                )

    async def learned(self, key: str) -> dict[str, list[float]]:
        """Seconds per phase, oldest first."""
        async with self._database.begin() as connection:
            query = (
                select(phase_times.c.phase, phase_times.c.seconds)
                .where(phase_times.c.key == key)
                .order_by(phase_times.c.id)
            )
            rows = (await connection.execute(query)).all()
        times: dict[str, list[float]] = defaultdict(list)
        for phase, seconds in rows:
            times[phase].append(seconds)
        return dict(times)

    async def all_learned(self) -> dict[str, dict[str, list[float]]]:
        """`learned` of every key."""
        async with self._database.begin() as connection:
            query = select(phase_times.c.key, phase_times.c.phase, phase_times.c.seconds).order_by(
                phase_times.c.id
            )
            rows = (await connection.execute(query)).all()
        found: dict[str, dict[str, list[float]]] = {}
        for key, phase, seconds in rows:
            found.setdefault(key, {}).setdefault(phase, []).append(seconds)
        return found


def _conditions(wanted: Past) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.before:
        at = select(swaps.c.created_at).where(swaps.c.id == wanted.before).scalar_subquery()
        older = (swaps.c.created_at == at) & (swaps.c.id < wanted.before)
        found.append((swaps.c.created_at < at) | older)
    if wanted.states:
        found.append(swaps.c.state.in_([state.value for state in wanted.states]))
    if wanted.model:
        found.append(swaps.c.model == wanted.model)
    return found
