"""How much of a swap is ours, beside the same steps as a script of plain `ssh` commands.

Ours and the script take turns, on two hosts of one simulated cluster, so that a machine that is
slow for a while is slow for both. When the engine itself started and was ready is read from the
host afterwards: from docker, and from the time stamps of the engine's own log.
"""

import asyncio
import http.client
import json
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import script
from bench.table import Row, median, spread
from tests.e2e.running import House, running_house
from tests.sim_cluster import Sim

MODELS = ("qwen3-0.6b", "llama-3.1-8b")
OURS, THEIRS = "spark-1", "spark-2"
CONTAINER, PEER = "spark-control-engine", "bench-engine"
GRACE = 10
READY = "Application startup complete."
PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Times:
    """One swap, in seconds. `launch`: from the start of it all to the engine's process;
    `load`: from there to its readiness; `serve`: from there to an answer seen to be good."""

    launch: float
    load: float
    serve: float

    @property
    def total(self) -> float:
        return self.launch + self.load + self.serve

    @property
    def overhead(self) -> float:
        """What is not the engine's own."""
        return self.launch + self.serve


class Events:
    """Follows `/api/v1/events` as a browser does, and keeps when each swap came to serve."""

    def __init__(self, house: House) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=PATIENCE)
        self._connection.request("GET", "/api/v1/events?types=swap")
        self._answer = self._connection.getresponse()
        self._ended: dict[str, tuple[float, dict[str, Any]]] = {}
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for line in self._answer:
            at = time.time()
            if not line.startswith(b"data:"):
                continue
            body = json.loads(line[5:])
            if isinstance(body, dict) and body.get("finished_at"):
                with self._news:
                    self._ended.setdefault(body["id"], (at, body))
                    self._news.notify_all()

    def ended(self, swap_id: str) -> tuple[float, dict[str, Any]]:
        with self._news:
            if not self._news.wait_for(lambda: swap_id in self._ended, PATIENCE):
                raise RuntimeError(f"the swap {swap_id} did not end")
            return self._ended[swap_id]


def measure(place: Path, *, quick: bool) -> list[Row]:
    rounds, load = (1, 0.2) if quick else (5, 2.0)
    with running_house(place, hosts=2, load_seconds=load) as house:
        bench = _Bench(house, Events(house))
        bench.warm_up()
        found: dict[str, list[Times]] = {"script": [], "ours": [], "multiplexed": []}
        for _ in range(rounds):
            if script.have_ssh():
                found["script"].append(bench.theirs(multiplexed=False))
                found["multiplexed"].append(bench.theirs(multiplexed=True))
            found["ours"].append(bench.ours())
        return rows(found, bench.steps, load)


class _Bench:
    def __init__(self, house: House, events: Events) -> None:
        self._house = house
        self._sim: Sim = house.sim
        self._events = events
        self._turn = {OURS: 0, THEIRS: 0}
        self._free = 0
        self.steps: dict[str, list[float]] = {}

    def warm_up(self) -> None:
        """Both hosts serve something, and every path was taken once."""
        host = self._sim.host(THEIRS)
        self._free = int(host["memory"]["available"] * 0.95) // 1024
        self.ours()
        self.steps.clear()
        if script.have_ssh():
            peer = script.Ssh(self._sim, THEIRS)
            peer.run(self._run_line(self._next(THEIRS)))
            script.until_healthy(self._sim.engine_url(THEIRS))

    def _next(self, host: str) -> str:
        self._turn[host] += 1
        return MODELS[self._turn[host] % 2]

    def ours(self) -> Times:
        model = self._next(OURS)
        began = time.time()
        seen, record = self._events.ended(self._house.ask(model))
        if record["state"] != "serving":
            raise RuntimeError(f"the swap ended {record['state']}: {record['error']}")
        for step in record["steps"]:
            self.steps.setdefault(step["name"], []).append(step["seconds"])
        return self._times(OURS, CONTAINER, began, seen)

    def theirs(self, *, multiplexed: bool) -> Times:
        master = self._sim.dir / "cm" if multiplexed else None
        peer, model = script.Ssh(self._sim, THEIRS, master), self._next(THEIRS)
        laps = script.swap(
            peer,
            container=PEER,
            run=self._run_line(model),
            served=model,
            free_kib=self._free,
            grace=GRACE,
        )
        return self._times(THEIRS, PEER, laps.began, laps.began + laps.total)

    def _run_line(self, model: str) -> str:
        """The line that our API shows for the model, for another container and without labels of
        ours: what a person would paste."""
        shown = self._house.get(f"/models/{model}/command")["commands"][0]["command"]
        line = str(shown).replace(CONTAINER, PEER)
        return line.replace("spark-control.engine=1", "bench.engine=1")

    def _times(self, host: str, container: str, began: float, served: float) -> Times:
        started, ready = asyncio.run(_facts(self._sim, host, container))
        return Times(started - began, ready - started, served - ready)


async def _facts(sim: Sim, host: str, container: str) -> tuple[float, float]:
    """When the container started, and when its engine said it was ready: seconds since 1970."""
    async with await sim.connect(host) as connection:
        inspected = await connection.run(f"docker inspect {container}", check=True)
        log = await connection.run(f"docker logs -t {container} 2>&1", check=True)
    started = _moment(json.loads(str(inspected.stdout))[0]["State"]["StartedAt"])
    line = next(line for line in str(log.stdout).splitlines() if READY in line)
    return started, _moment(line.split()[0])


def _moment(text: str) -> float:
    """Docker writes nanoseconds, which Python does not read."""
    whole, _, rest = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp() + float(f"0.{rest or 0}")


def rows(found: dict[str, list[Times]], steps: dict[str, list[float]], load: float) -> list[Row]:
    ours = found["ours"]
    made = [
        *_whole(f"ours (the engine loads {load:g} s)", ours),
        Row(
            "  engine ready to `serving` at a client",
            median([t.serve for t in ours]) * 1000,
            "ms",
            300,
            spread([t.serve * 1000 for t in ours], "ms"),
        ),
    ]
    for title, theirs in (
        ("script of ssh", found["script"]),
        ("script of ssh with ControlMaster", found["multiplexed"]),
    ):
        made += _against(title, theirs, ours)
    return made + [Row(f"ours, step {step}", median(s), "s") for step, s in steps.items()]


def _whole(title: str, times: list[Times]) -> list[Row]:
    totals = [t.total for t in times]
    return [
        Row(f"{title}: whole swap", median(totals), "s", note=spread(totals, "s")),
        Row("  begin to the engine's process running", median([t.launch for t in times]), "s"),
        Row("  load of the engine itself", median([t.load for t in times]), "s"),
    ]


def _against(title: str, theirs: list[Times], ours: list[Times]) -> list[Row]:
    if not theirs:
        return [Row(f"{title}: whole swap", None, "s", note="there is no ssh command here")]
    total, mine = median([t.total for t in theirs]), median([t.total for t in ours])
    work, my_work = median([t.overhead for t in theirs]), median([t.overhead for t in ours])
    return [
        *_whole(title, theirs),
        Row("  engine ready to its answer", median([t.serve for t in theirs]) * 1000, "ms"),
        Row("  ours against it, whole", mine / total, "x", 1.2),
        Row("  ours against it, without the load", my_work / work, "x"),
    ]
