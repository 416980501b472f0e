"""Where a load is, read from the lines of its log. Pure; several wordings of vLLM's history.

The phase and the fraction within it never go back, whatever order several ranks print in. Refuses
to be sure of readiness: `ready` is a hint, `/health` and an answer are the proof.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from server.base.redact import one_line, strip_ansi
from server.launch.model import Progress

PHASES = ("download", "weights", "compile", "profile", "kv_cache", "graphs", "server")

_MAX_LINE = 4000
_READY = re.compile(r"Application startup complete")
_PREFIX = re.compile(
    r"^(?:\s*\([A-Za-z][\w.-]*(?: [\w=., :-]+)?\)|\s*\[rank\d+\]:)*\s*"
    r"(?:(?:DEBUG|INFO|WARNING|ERROR|CRITICAL)\s+)?"
    r"(?:\d{2,4}[-/]\d\d(?:[-/]\d\d)?[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?\s*)?"
    r"(?:\[[\w./-]+(?:\.py)?:\d+\]\s*)?"
)

Reading = Callable[[re.Match[str]], tuple[float | None, str]]


@dataclass(frozen=True, slots=True)
class _Marker:
    pattern: re.Pattern[str]
    phase: str
    read: Reading


def _says(fraction: float | None, text: str) -> Reading:
    return lambda match: (fraction, text.format(*(group or "" for group in match.groups())))


def _bar(noun: str) -> Reading:
    """`NN%` and, when the bar has them, `done/total`."""

    def read(match: re.Match[str]) -> tuple[float | None, str]:
        done, total = match["done"], match["total"]
        percent = float(match["percent"]) / 100
        if done and total and int(total) > 0:
            return min(1.0, int(done) / int(total)), f"{noun} {done} of {total}"
        return min(1.0, percent), f"{noun} {percent:.0%}"

    return read


def _file_bar(match: re.Match[str]) -> tuple[float | None, str]:
    return None, f"downloading {match['file']}: {match['percent']} %"


_TAIL = (
    r"\s*(?P<percent>\d{1,3})%(?: Completed)?\s*\|(?:[^|]{0,80}\|)?\s*"
    r"(?:(?P<done>\d+)/(?P<total>\d+))?"
)

_TABLE: tuple[tuple[str, str, Reading], ...] = (
    ("server", r"Application startup complete", _says(1.0, "the API is up")),
    ("server", r"Starting vLLM (?:API )?server", _says(0.5, "starting the API")),
    ("server", r"init engine \(.{0,80}\) took ([\d.]+) s", _says(0.0, "engine ready in {0} s")),
    ("graphs", r"Graph capturing finished in ([\d.]+) s", _says(1.0, "graphs captured in {0} s")),
    ("graphs", r"Capturing (?:the )?(?:CUDA|cuda) ?graphs?[^%\r\n]{0,80}:" + _TAIL, _bar("graph")),
    ("graphs", r"Capturing (?:the model for )?(?:CUDA|cuda) ?graphs?\b", _says(0.0, "graphs")),
    ("kv_cache", r"Maximum concurrency for ([\d,]+) tokens per request: ([\d.]+)x",
     _says(1.0, "room for {1} requests of {0} tokens")),
    ("kv_cache", r"GPU KV cache size: ([\d,]+) tokens", _says(0.8, "KV cache: {0} tokens")),
    ("kv_cache", r"# (?:GPU|cuda) blocks: (\d+)", _says(0.8, "KV cache: {0} blocks")),
    ("kv_cache", r"Available KV cache memory: (-?[\d.]+) GiB", _says(0.4, "KV cache: {0} GiB")),
    ("profile", r"Memory profiling takes ([\d.]+) s", _says(1.0, "memory profiled in {0} s")),
    ("profile", r"Initial profiling/warmup run took ([\d.]+) s",
     _says(0.8, "first run took {0} s")),
    ("profile", r"torch\.compile (?:takes|took) ([\d.]+) s(?:econds)? in total",
     _says(0.0, "compiled in {0} s")),
    ("compile", r"(?:Directly load|Loading) the compiled graph", _says(0.7, "compiled before")),
    ("compile", r"Compiling a graph for .{0,60} takes ([\d.]+) s", _says(0.8, "compiled a graph")),
    ("compile", r"Dynamo bytecode transform time: ([\d.]+) s", _says(0.3, "traced in {0} s")),
    ("compile", r"Start compil|Using cache directory: .{0,300}torch_compile_cache",
     _says(0.1, "compiling")),
    ("compile", r"Model loading took ([\d.]+) (?:GiB|GB)(?: memory)? and ([\d.]+) s",
     _says(0.0, "{0} GiB of weights in {1} s")),
    ("weights", r"Loading (?:model )?weights took ([\d.]+) (?:GB|s)", _says(1.0, "weights read")),
    ("weights", r"(?:[Ll]oading|Read(?:ing)?)\b[^%\r\n]{0,80}\bshards?\b[^%\r\n]{0,40}:" + _TAIL,
     _bar("shard")),
    ("weights", r"Loading weights[^%\r\n]{0,60}:" + _TAIL, _bar("tensor")),
    ("download", r"Time spent downloading weights", _says(1.0, "downloaded")),
    ("download", r"Fetching \d+ files:" + _TAIL, _bar("file")),
    ("download", r"Fetching (\d+) files", _says(0.0, "{0} files to fetch")),
    ("download",
     r"(?P<file>[\w.-]{1,120}\.(?:safetensors|bin|pt|gguf|json|model)):\s*(?P<percent>\d{1,3})%\|",
     _file_bar),
)  # fmt: skip

_MARKERS = tuple(_Marker(re.compile(pattern), phase, read) for phase, pattern, read in _TABLE)


def clean(line: str) -> str:
    """What a terminal would show last of this line, without colours, rank and timestamp."""
    shown = strip_ansi(line[-_MAX_LINE:])
    parts = [part for part in shown.split("\r") if part.strip()]
    return _PREFIX.sub("", parts[-1], count=1).strip() if parts else ""


def ready(line: str) -> bool:
    return _READY.search(line) is not None


class PhaseReader:
    """Fed line by line; answers with progress only when something moved forward."""

    def __init__(self) -> None:
        self._rank = -1
        self._fraction: float | None = None
        self._detail = ""

    def feed(self, line: str) -> Progress | None:
        text = clean(line)
        for marker in _MARKERS:
            match = marker.pattern.search(text)
            if match is not None:
                fraction, detail = marker.read(match)
                return self._move(PHASES.index(marker.phase), fraction, one_line(detail, 120))
        return None

    def _move(self, rank: int, fraction: float | None, detail: str) -> Progress | None:
        if rank < self._rank:
            return None
        if rank > self._rank:
            self._rank, self._fraction, self._detail = rank, fraction, detail
            return Progress(PHASES[rank], fraction, detail)
        behind = fraction is not None and self._fraction is not None and fraction < self._fraction
        if behind or (fraction in {None, self._fraction} and detail == self._detail):
            return None
        self._fraction = self._fraction if fraction is None else fraction
        self._detail = detail
        return Progress(PHASES[rank], self._fraction, detail)
