"""What one swap has heard of the engines it started: a bounded tail, numbered from the first line.

Owns the bounds (lines and letters), the numbering by which a reader asks for what it has not seen,
and the shape in the database. Pure. Refuses to follow anything: the driver hears, readers look.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from server.base.ansi import Span, styled
from server.base.clock import iso, parse_iso

MOST_LINES = 2000
MOST_LETTERS = 1 << 20
LINE_LIMIT = 2000
SAVED_LINES = 500
SAVED_LETTERS = 1 << 17


@dataclass(frozen=True, slots=True)
class LogLine:
    """`mark` is a line of ours between those of the engines: what began then."""

    number: int
    at: datetime
    text: str
    spans: tuple[Span, ...] = ()
    mark: bool = False

    def to_dict(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "at": iso(self.at),
            "text": self.text,
            "spans": [list(span) for span in self.spans],
            "mark": self.mark,
        }

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> "LogLine":
        spans = tuple((int(a), int(b), str(look)) for a, b, look in body["spans"])
        return cls(body["number"], parse_iso(body["at"]), body["text"], spans, body["mark"])


class SwapLog:
    """`run` names this hearing: after a restart of the app the log is heard anew, from its first
    line, and numbers of the one before mean nothing."""

    def __init__(self, run: str, lines: Sequence[LogLine] = ()) -> None:
        self.run = run
        self._lines: deque[LogLine] = deque()
        self._letters = 0
        self.next = 0
        for line in lines:
            self._keep(line)

    def hear(self, raw: str, at: datetime) -> None:
        """A line of an engine, as it came."""
        line = styled(raw, LINE_LIMIT)
        self._keep(LogLine(self.next, at, line.text, line.spans))

    def mark(self, text: str, at: datetime) -> None:
        """What begins now; said once, however often it is told."""
        last = next((line for line in reversed(self._lines) if line.mark), None)
        shown = styled(text, LINE_LIMIT).text
        if last is None or last.text != shown:
            self._keep(LogLine(self.next, at, shown, mark=True))

    @property
    def first(self) -> int:
        """Number of the oldest line that is kept."""
        return self._lines[0].number if self._lines else self.next

    def after(self, number: int, most: int = MOST_LINES) -> tuple[LogLine, ...]:
        """The kept lines from `number` on; of more than `most` the newest."""
        begin = max(number - self.first, len(self._lines) - most, 0)
        return tuple(self._lines)[begin:]

    def texts(self) -> tuple[str, ...]:
        """Of the engines alone, plain."""
        return tuple(line.text for line in self._lines if not line.mark)

    def to_saved(self) -> dict[str, Any]:
        """The end of it, bounded more tightly: it is kept for good."""
        kept: list[LogLine] = []
        letters = 0
        for line in reversed(self.after(0, SAVED_LINES)):
            letters += len(line.text)
            if letters > SAVED_LETTERS:
                break
            kept.append(line)
        return {"run": self.run, "lines": [line.to_dict() for line in reversed(kept)]}

    @classmethod
    def from_saved(cls, body: Mapping[str, Any]) -> "SwapLog":
        return cls(body["run"], [LogLine.from_dict(line) for line in body["lines"]])

    def _keep(self, line: LogLine) -> None:
        self._lines.append(line)
        self._letters += len(line.text)
        self.next = line.number + 1
        while len(self._lines) > MOST_LINES or self._letters > MOST_LETTERS:
            self._letters -= len(self._lines.popleft().text)
