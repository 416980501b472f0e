"""The gateway against LiteLLM and nginx over the same fake engine: the figures that have an aim.

Medians of interleaved rounds. Owns the aims, and what is put beside each figure so that it can be
judged.
"""

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from bench import ours
from bench.peers import engine, litellm, nginx
from bench.requests import Requests
from bench.side_by_side import FALLBACK, FRAME, OURS, RATE, WIDE, Bench, Size
from bench.table import Row
from bench.tools import tools

WHOLE = Size(3, 2.0, (1000, 1500), 1.5, 300_000_000, everybody=True)
QUICK = Size(1, 0.2, (20,), 0.1, 3_000_000, everybody=False)


def measure(place: Path, *, quick: bool) -> list[Row]:
    size = QUICK if quick else WHOLE
    made = tools()
    with ExitStack() as stack:
        direct = stack.enter_context(engine(made, place, RATE))
        bench = Bench(made, Requests(place), size, direct)
        bench.add(stack, "nginx", lambda: nginx(place, direct.port))
        bench.add(stack, OURS, lambda: ours.app(place, OURS, direct.port, "pooled"))
        if size.everybody:
            bench.add(stack, "nginx, log", lambda: nginx(place, direct.port, log=True))
            bench.add(stack, FALLBACK, lambda: ours.app(place, FALLBACK, direct.port, "aiohttp"))
            bench.add(stack, "LiteLLM", lambda: litellm(place, direct.port))
        bench.idle()
        for _ in range(size.rounds):
            bench.asked()
        for count in size.streams:
            for _ in range(size.rounds):
                bench.streamed(count)
        bench.sockets()
        bench.uploaded()
        bench.beside(place, direct.port)
    return rows(bench)


def rows(bench: Bench) -> list[Row]:
    """The figures that have an aim, each with what it is made of."""
    return [
        *_throughput(bench),
        *_cost(bench),
        *_latency(bench),
        *_streams(bench),
        *_frames(bench),
        *_upload(bench),
        *_beside(bench),
        *_idle(bench),
    ]


def _throughput(bench: Bench) -> list[Row]:
    note = bench.missing.get("LiteLLM", "")
    made = [
        Row(
            f"requests/s at {WIDE} in flight, ours to LiteLLM",
            bench.ratio(f"rps {WIDE}", OURS, "LiteLLM"),
            "x",
            40,
            note,
            90,
            least=True,
        ),
        Row(
            "  CPU per request, LiteLLM to ours",
            bench.ratio(f"cpu {WIDE}", "LiteLLM", OURS),
            "x",
        ),
    ]
    return made + _each(bench, f"rps {WIDE}", "/s", ("direct", *bench.peers))


def _cost(bench: Bench) -> list[Row]:
    what = f"cpu {WIDE}"
    ratio = Row(
        f"CPU per request at {WIDE} in flight, ours to nginx",
        bench.ratio(what, OURS, "nginx"),
        "x",
        12,
        bench.missing.get("nginx", ""),
        7,
    )
    return [ratio, *_each(bench, what, "us", bench.peers)]


def _each(bench: Bench, what: str, unit: str, names: Iterable[str]) -> list[Row]:
    return [
        Row(f"  {name}", bench.of(what, name), unit, note=bench.note(what, name, unit))
        for name in names
    ]


def _latency(bench: Bench) -> list[Row]:
    mine, theirs = bench.added(OURS), bench.added("nginx")
    made = [
        Row(
            "added median latency at 1 in flight, ours to nginx",
            mine / theirs if mine is not None and theirs else None,
            "x",
            4,
            bench.missing.get("nginx", ""),
            2.5,
        ),
        Row(
            "  direct", bench.of("p50 1", "direct"), "us", note=bench.note("p50 1", "direct", "us")
        ),
    ]
    for name in bench.peers:
        note = bench.note("p50 1", name, "us").join(("of ", ""))
        made.append(Row(f"  added by {name}", bench.added(name), "us", note=note))
    return made


def _streams(bench: Bench) -> list[Row]:
    made = []
    for number, count in enumerate(bench.size.streams):
        for name in (OURS, FALLBACK, "nginx"):
            what = f"{count} streams of {RATE:.0f} chunks/s through {name}: on time"
            share = bench.of(f"on time {count}", name)
            aim = 99.0 if name == OURS and not number else None
            note = bench.note(f"on time {count}", name, "%")
            made.append(Row(what, share, "%", aim, note, least=True))
            if share is not None:
                made.append(Row("  CPU per chunk", bench.of(f"cpu chunk {count}", name), "us"))
                lag99 = bench.of(f"lag99 {count}", name) or 0
                note = f"p99 {lag99:.1f} ms"
                made.append(Row("  lag, median", bench.of(f"lag {count}", name), "ms", note=note))
    return made


def _frames(bench: Bench) -> list[Row]:
    ratio = bench.ratio("cpu frame", OURS, "nginx")
    title = f"CPU per WebSocket frame of {FRAME} bytes, there and back, ours to nginx"
    return [
        Row(title, ratio, "x", 4, bench.missing.get("socket", ""), 3),
        *(Row(f"  {name}", bench.of("cpu frame", name), "us") for name in (OURS, "nginx")),
    ]


def _upload(bench: Bench) -> list[Row]:
    size = f"{bench.size.upload / 1e6:.0f} MB uploaded"
    made = []
    for name in (OURS, FALLBACK, "nginx"):
        figures = bench.found["upload"].get(name)
        aim, stretch = (50, 10) if name == OURS else (None, None)
        most = max(figures) if figures else None
        note = "with a length and in chunks: the larger" if figures else ""
        made.append(
            Row(f"{size} through {name}: memory above idle", most, "MiB", aim, note, stretch)
        )
        made.append(Row("  speed", bench.of("upload rate", name), "MB/s"))
    return made


def _beside(bench: Bench) -> list[Row]:
    made = []
    own = bench.of("own work", "at work")
    for what, words, sign in (
        ("beside rps", "fewer requests/s", -1),
        ("beside cpu", "more CPU per request", 1),
    ):
        ratio = bench.ratio(what, "at work", "quiet")
        worse = sign * (ratio - 1) * 100 if ratio is not None else None
        note = f"{ratio:.3f} x; below zero it was better" if ratio else ""
        made.append(Row(f"{words} at {WIDE} in flight, at work than alone", worse, "%", 10, note))
    made.append(Row("  CPU of the control plane's own work", own, "% of a core"))
    count = bench.size.streams[0]
    share = bench.of(f"on time {count}", "at work")
    made.append(Row(f"  {count} streams at work: on time", share, "%", 99, least=True))
    return made


def _idle(bench: Bench) -> list[Row]:
    made = []
    for name in bench.peers:
        start = bench.of("start", name)
        note = f"started in {start:.2f} s" if start is not None else ""
        made.append(Row(f"memory at rest, {name}", bench.of("idle", name), "MiB", note=note))
    return made
