"""What `/readyz` asks: the data directory, the database, the hosts, the engine.

Only what we need to do our work is required; a Spark that is off is shown, and decides nothing.
"""

from collections.abc import Awaitable, Callable

from server.base.errors import SparkError
from server.base.health import Health, Verdict
from server.web.parts import Check, Fleet, Swaps


def checks(
    *,
    data_directory: Callable[[], None],
    database: Callable[[], Awaitable[None]],
    fleet: Fleet,
    swaps: Swaps,
) -> tuple[Check, ...]:
    """`data_directory` and `database` raise `SparkError` when nothing could be saved now."""

    async def directory() -> Verdict:
        try:
            data_directory()
        except SparkError as error:
            return Verdict.down(error.message)
        return Verdict.up()

    async def saves() -> Verdict:
        try:
            await database()
        except SparkError as error:
            return Verdict.down(error.message)
        return Verdict.up()

    async def hosts() -> Verdict:
        away = [s for s in fleet.statuses() if s.verdict.health is not Health.UP]
        if not away:
            return Verdict.up()
        return Verdict.unknown("; ".join(f"{s.name}: {s.verdict.reason}" for s in away))

    async def engine() -> Verdict:
        layout = swaps.layout()
        if not layout:
            return Verdict.unknown("no model is loaded")
        unwell = [serving for serving in layout if serving.health.health is not Health.UP]
        return unwell[0].health if unwell else Verdict.up()

    return (
        Check("data_directory", directory),
        Check("database", saves),
        Check("hosts", hosts, required=False),
        Check("engine", engine, required=False),
    )
