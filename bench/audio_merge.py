"""Label-merge of ten hours: two channels become one conversation.

The merging itself is timed in this process, without the collector that its own process does without
as well; memory is that of the process which the app starts for it, JSON in and JSON out.
"""

import gc
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import orjson

from bench.table import Row, median, shown
from server.audio import merging
from tests.e2e.running import ROOT

SECONDS = 36_000.0
_ASKER = """
import os, sys, time
began = time.monotonic()
source = os.open(sys.argv[2], os.O_RDONLY)
argv = [sys.argv[1], "-P", "-m", "server.audio.work", "label-merge", "600"]
nowhere = os.open(os.devnull, os.O_WRONLY)
actions = [(os.POSIX_SPAWN_DUP2, source, 0), (os.POSIX_SPAWN_DUP2, nowhere, 1)]
_, status, used = os.wait4(os.posix_spawn(argv[0], argv, os.environ, file_actions=actions), 0)
print(time.monotonic() - began, used.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def measure(place: Path, *, quick: bool) -> list[Row]:
    words, turns, rounds = (2_000, 400, 1) if quick else (100_000, 20_000, 5)
    raw = _conversation(words, turns)
    body = merging.Body.model_validate_json(raw)
    took: list[float] = []
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            began = time.process_time()
            merging.conversation(body)
            took.append((time.process_time() - began) * 1e3)
    finally:
        gc.enable()
    request = place / "merge.json"
    request.write_bytes(raw)
    wall, peak = _worked(request)
    what = f"merging {words:,} words and {turns:,} turns of two channels"
    note = f"CPU; {shown(min(took), '')} to {shown(max(took), '')} of {rounds}"
    size = f"{len(raw) >> 20} MiB of JSON, a process of its own, its start included"
    return [
        Row(what, median(took), "ms", None if quick else 300, note),
        Row("  from request to answer", wall, "ms", None, size),
        Row("  memory of that process", peak, "MiB", 200),
    ]


def _conversation(words: int, turns: int) -> bytes:
    """The far side says three words of five, and a third of ours are its echo."""
    chance = random.Random(5)
    letters = "etaoinshrdlu"
    vocabulary = ["".join(chance.choices(letters, k=chance.randint(2, 9))) for _ in range(4000)]
    far = _channel(words * 3 // 5, vocabulary, chance)
    near = _channel(words * 2 // 5, vocabulary, chance)
    for word in near:
        word["suppressed_db"] = round(chance.uniform(-3, 25), 1)
        if chance.random() < 1 / 3:
            word["word"] = far[int(word["start"] / SECONDS * len(far))]["word"]
    each = SECONDS / turns
    shares = [
        {
            "speaker": f"SPEAKER_{chance.randrange(4):02d}",
            "start": round(number * each, 3),
            "end": round(number * each + each * chance.uniform(0.7, 1.2), 3),
        }
        for number in range(turns)
    ]
    mic, system = {"words": near, "speaker": "me"}, {"words": far, "turns": shares}
    return orjson.dumps({"mic": mic, "system": system, "response_format": "verbose_json"})


def _channel(count: int, vocabulary: list[str], chance: random.Random) -> list[dict[str, Any]]:
    each = SECONDS / count
    return [
        {
            "word": chance.choice(vocabulary) + ("." if number % 14 == 13 else ""),
            "start": round(number * each, 3),
            "end": round(number * each + chance.uniform(0.2, 0.9) * each, 3),
            "probability": 0.9,
        }
        for number in range(count)
    ]


def _worked(request: Path) -> tuple[float, float]:
    """Milliseconds from start to end, and MiB at the most. Asked by a process that is small: the
    kernel counts what the parent held when it was split as what the child held."""
    env = {"PYTHONPATH": str(ROOT), "PATH": os.defpath}
    done = subprocess.run(
        [sys.executable, "-S", "-c", _ASKER, sys.executable, str(request)],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the process that merges failed: {done.stderr.strip()[-500:]}")
    seconds, kib = map(float, done.stdout.split())
    return seconds * 1e3, kib / 1024
