"""What was used is summed up, saved off the hot path, and not lost by a full disk or a restart."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from server.gateway.model import Caller, Passage, Used
from server.gateway.usage import service
from server.gateway.usage.ledger import UsageLedger
from server.gateway.usage.model import Place, Sums, day_of, grouped
from server.gateway.usage.service import Usage
from tests.disks import disk
from tests.gateway.keys.made import NOON, HandClock, House, house

CHAT = "/v1/chat/completions"
ANNA = Caller("anna", key_id="k1")
TODAY = day_of(NOON)


def passage(model: str = "qwen", caller: Caller = ANNA, **fields: object) -> Passage:
    made = Passage("r", NOON, 0.0, CHAT, caller, model=model, status=200)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


async def test_requests_are_summed_by_key_model_route_and_day(tmp_path: Path) -> None:
    """Saved and not yet saved together; the same numbers after a restart."""
    clock = HandClock()
    async with house(tmp_path, clock) as one:
        used = Used(10, 20, 5, 1.5)
        one.usage(passage(used=used, bytes_in=100, bytes_out=1000))
        assert await one.usage.flush()
        one.usage(passage(used=used, bytes_in=100, bytes_out=1000))
        one.usage(passage(status=429, error="rate_limited", caller=Caller("anyone", "192.0.2.7")))
        clock.pass_(days=1)
        one.usage(passage(model="large", status=200, error="upstream_error"))
        one.usage.add_gpu_seconds("k1", "qwen", TODAY, 2.5)
        one.usage.add_gpu_seconds(None, "qwen", TODAY, 0.5)
        before = await one.usage.rows(2)
    assert before == {
        Place(TODAY, "k1", "qwen", CHAT): Sums(
            2, 0, 20, 40, 10, audio_seconds=3.0, bytes_in=200, bytes_out=2000
        ),
        Place(TODAY, "k1", "qwen", ""): Sums(gpu_seconds=2.5),
        Place(TODAY, "anonymous", "qwen", ""): Sums(gpu_seconds=0.5),
        Place(TODAY, "anonymous", "qwen", CHAT): Sums(1, 1),
        Place(day_of(clock.now()), "k1", "large", CHAT): Sums(1, 1),
    }
    async with house(tmp_path, clock) as again:
        assert await again.usage.rows(2) == before
        assert list(await again.usage.rows(1)) == [Place(day_of(clock.now()), "k1", "large", CHAT)]
        by_key = grouped(before.items(), "key")
        assert [(name, sums.requests) for name, sums in by_key.items()] == [
            ("k1", 3),
            ("anonymous", 1),
        ]
        assert by_key["k1"].gpu_seconds == 2.5
        assert list(grouped(before.items(), "day")) == [TODAY, day_of(clock.now())]


async def test_names_that_callers_make_up_make_no_rows(tmp_path: Path) -> None:
    """They are summed up as `other`; what came to no model at all has none."""
    async with house(tmp_path) as one:
        usage = Usage(UsageLedger(one.database), one.clock, known={"qwen"}.__contains__)
        for number in range(50):
            usage(passage(model=f"invented-{number}"))
        usage(passage(model=""))
        usage(passage())
        await usage.close()
        rows = await one.usage.rows(1)
        assert {place.model: sums.requests for place, sums in rows.items()} == {
            "other": 50,
            "": 1,
            "qwen": 1,
        }


async def test_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond that rows are joined, and no request is lost from the sums."""
    monkeypatch.setattr(service, "MOST", 5)
    async with house(tmp_path) as one:
        for number in range(20):
            one.usage(passage(model=f"m{number}"))
        rows = await one.usage.rows(1)
        assert len(rows) == 6
        assert sum(sums.requests for sums in rows.values()) == 20


async def test_a_full_disk_loses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """It is kept in memory, told once, and saved when there is room again."""
    with disk(2 << 20) as small:
        async with house(small.path) as one:
            one.usage(passage(bytes_in=1))
            with small.full():
                for number in range(2000):
                    one.usage(passage(model=f"a-model-with-a-rather-long-name-{number}"))
                assert not await one.usage.flush()
                one.usage(passage(bytes_in=2))
                assert not await one.usage.flush()
            assert await one.usage.flush()
            rows = await one.usage.rows(1)
            assert rows[Place(TODAY, "k1", "qwen", CHAT)] == Sums(2, bytes_in=3)
            assert len(rows) == 2001
    told = [line.message for line in caplog.records if line.name == "server.usage"]
    assert told[:1] == ["usage is kept in memory until it can be saved"]
    assert len(told) == 1


async def test_sums_are_saved_while_the_app_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has to ask for it."""
    monkeypatch.setattr(service, "FLUSH_SECONDS", 0.01)
    saved: asyncio.Queue[Mapping[Place, Sums]] = asyncio.Queue()

    class Told(UsageLedger):
        async def add(self, rows: Mapping[Place, Sums]) -> None:
            await super().add(rows)
            saved.put_nowait(rows)

    async with house(tmp_path) as one:
        usage = Usage(Told(one.database), one.clock)
        await usage.start()
        for _ in range(2):
            usage(passage())
            assert (await saved.get())[Place(TODAY, "k1", "qwen", CHAT)].requests == 1
        await usage.close()
        assert saved.empty()


async def test_a_save_that_is_cut_off_is_done_again(tmp_path: Path) -> None:
    """Cancelled while it waits for another writer: nothing is lost, nothing counted twice."""
    async with house(tmp_path) as one:
        one.usage(passage())
        async with one.database.begin():
            task = asyncio.create_task(one.usage.flush())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            one.usage(passage())
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert await one.usage.flush()
        assert (await one.usage.rows(1))[Place(TODAY, "k1", "qwen", CHAT)].requests == 2


async def test_what_is_older_than_a_year_goes_at_the_start(tmp_path: Path) -> None:
    """The table stays small."""
    clock = HandClock()
    async with house(tmp_path, clock) as one:
        one.usage(passage())
    clock.pass_(days=401)
    async with house(tmp_path, clock) as again:
        async with again.database.read() as connection:
            rows = (await connection.execute(text("SELECT count(*) FROM usage"))).scalar()
        assert rows == 0


async def test_what_was_used_today_is_told_by_key(tmp_path: Path) -> None:
    """For the limits of a day; yesterday is not part of it."""

    async def today(one: House) -> dict[str, int]:
        return {key: sums.prompt_tokens for key, sums in (await one.usage.today()).items()}

    clock = HandClock()
    async with house(tmp_path, clock) as one:
        one.usage(passage(used=Used(prompt_tokens=5)))
        one.usage(passage(model="large", used=Used(prompt_tokens=7)))
        assert await today(one) == {"k1": 12}
        clock.at = NOON + timedelta(hours=12)
        assert await today(one) == {}


async def test_what_lasts_is_counted_meanwhile_and_once(tmp_path: Path) -> None:
    """A WebSocket may be open for days: each day has what was used on it."""
    async with house(tmp_path) as one:
        lasting = passage(used=Used(1, 2, audio_seconds=10.0), bytes_in=100)
        one.usage.amid(lasting)
        one.usage.amid(lasting)
        one.clock.pass_(days=1)
        lasting.used, lasting.bytes_in = Used(1, 5, audio_seconds=25.0), 250
        one.usage.amid(lasting)
        lasting.used = Used(2, 5, audio_seconds=26.0)
        one.usage(lasting)
        one.usage(passage(used=Used(100)))
        days = grouped((await one.usage.rows(2)).items(), "day")
        first, second = days.values()
        assert (first.requests, first.audio_seconds, first.bytes_in) == (0, 10.0, 100)
        assert (second.requests, second.audio_seconds, second.bytes_in) == (2, 16.0, 150)
        assert (second.prompt_tokens, second.completion_tokens) == (101, 3)
        assert not one.usage._booked
