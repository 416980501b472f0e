"""Structured logs: one JSON object a line (drawn for people on a terminal), ids in each line.

Owns the one renderer: our loggers and those of the libraries go through it, with secrets redacted
and newlines and terminal codes of logged values made inert. Refuses to decide what is worth
logging. `bind` puts the request id and the swap id into every line of the current task.
"""

import logging
import math
import re
import traceback
from collections import deque
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from types import TracebackType
from typing import Any, Literal, Self, TextIO

import orjson
import structlog
from structlog.contextvars import bind_contextvars, get_contextvars, reset_contextvars

from server.base.redact import (
    REDACTED,
    escape_controls,
    is_secret_name,
    one_line,
    redact,
    redact_argv,
    strip_ansi,
)

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["auto", "json", "pretty"]
Secrets = Callable[[], Collection[str]]

HANDLER = "spark-control"
VALUE_LIMIT = 4000
TRACE_LIMIT = 16_000
NAMES = 512
TEXTS = 2048
TEXT_LIMIT = 256
_LARGE = 2**63
_OUR_ID = re.compile(r"[a-z]{3,8}-[0-9a-z]{14}")
_DEPTH = 6
_ITEMS = 200
# Libraries whose informational lines are one per packet or request.
_CHATTY = ("asyncssh", "aiohttp", "aiosqlite", "alembic", "sqlalchemy", "httpx", "httpcore")
_COLOURS = {"debug": "2", "info": "32", "warning": "33", "error": "31", "critical": "31;1"}


class Bound:
    """Ids bound to the current task; leaving its `with` block puts back what was there before."""

    def __init__(self, ids: Mapping[str, str | None]) -> None:
        self._tokens = bind_contextvars(**{k: v for k, v in ids.items() if v is not None})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        reset_contextvars(**self._tokens)


def bind(**ids: str | None) -> Bound:
    """Put ids (`request_id`, `swap_id`, …) into every line of this task and of tasks it starts.

    Works at once; used with `with` it ends with the block. Ids that are None are left as they are.
    """
    return Bound(ids)


def get_logger(room: str) -> structlog.stdlib.BoundLogger:
    """The logger of a room: `log.info("swap started", model=…)`. Usable before `configure`."""
    logger: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logging.getLogger(f"server.{room}"),
        processors=[structlog.stdlib.filter_by_level, _hand_over],
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    ).bind()
    return logger


def configure(
    level: Level = "info",
    fmt: Format = "auto",
    stream: TextIO | None = None,
    secrets: Secrets = tuple,
) -> None:
    """Send the lines of all loggers to `stream` (standard error when None); may be called again.

    `secrets` is asked for the secrets known at that moment. Run uvicorn with `log_config=None`, so
    that it keeps no handlers of its own.
    """
    handler = Quiet(stream)
    handler.name = HANDLER
    terminal = handler.stream.isatty()
    pretty = fmt == "pretty" or (fmt == "auto" and terminal)
    handler.setFormatter(Renderer(pretty=pretty, colour=pretty and terminal, secrets=secrets))
    root = logging.getLogger()
    for old in [old for old in root.handlers if old.name == HANDLER]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.INFO if level == "debug" else logging.WARNING)


class Renderer(logging.Formatter):
    """A log record as one JSON line, or as one line (and an indented traceback) for people."""

    def __init__(self, *, pretty: bool, colour: bool = False, secrets: Secrets = tuple) -> None:
        super().__init__()
        self._pretty = pretty
        self._colour = colour
        self._secrets = secrets
        self._named = lru_cache(NAMES)(_named)
        self._texts: dict[str, str] = {}
        self._second, self._stamp = -1, ""

    @property
    def pretty(self) -> bool:
        return self._pretty

    def quick(self, created: float, logger: str, event: str, fields: Mapping[str, Any]) -> str:
        """The JSON line that `format` makes of a record with these fields and no ids bound.

        Texts are cleaned once while no secrets are known; with secrets, every time.
        """
        secrets = self._secrets()
        texts = {} if secrets else self._texts
        named = self._named
        body: dict[str, Any] = {
            "time": self._stamped(created),
            "level": "info",
            "logger": logger,
            "event": event,
        }
        for name, value in fields.items():
            shown, secret = named(name)
            kind = type(value)
            if secret:
                body[shown] = _hidden(value)
            elif kind is str:
                body[shown] = texts.get(value) or self._cleaned(value, secrets, texts)
            elif kind is int and -_LARGE < value < _LARGE:
                body[shown] = value
            else:
                body[shown] = None if value is None else _plain(value, secrets, 0)
        return orjson.dumps(body).decode()

    def _cleaned(self, value: str, secrets: Collection[str], texts: dict[str, str]) -> str:
        if _OUR_ID.fullmatch(value):
            return value
        text = _text(value, secrets)
        if len(texts) >= TEXTS:
            texts.clear()
        if len(value) <= TEXT_LIMIT:
            texts[value] = text
        return text

    def _stamped(self, created: float) -> str:
        """`_stamp`, which is made anew when the second is another one."""
        second = int(created)
        if second != self._second:
            self._second, self._stamp = second, _stamp(second)[:-4]
        return f"{self._stamp}{int((created - second) * 1000):03d}Z"

    def format(self, record: logging.LogRecord) -> str:
        secrets = self._secrets()
        head = {
            "time": _stamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _text(record.getMessage(), secrets),
        }
        extra: dict[str, Any] = dict(get_contextvars()) | dict(getattr(record, "fields", {}))
        fields = {}
        for name, value in extra.items():
            if name not in head:
                shown, secret = self._named(name)
                fields[shown] = _hidden(value) if secret else _plain(value, secrets, 0)
        trace = _trace(record, secrets)
        if self._pretty:
            return self._drawn(head, fields, trace)
        body = head | fields | ({"exception": trace} if trace else {})
        return orjson.dumps(body).decode()

    def _drawn(self, head: Mapping[str, str], fields: Mapping[str, Any], trace: str | None) -> str:
        level = head["level"]
        shown = f"{level:<8}"
        if self._colour:
            shown = f"\x1b[{_COLOURS.get(level, '0')}m{shown}\x1b[0m"
        pairs = " ".join(f"{name}={_drawn(value)}" for name, value in fields.items())
        line = f"{head['time'][11:]} {shown} {head['logger'].removeprefix('server.'):<8} "
        line += f"{head['event']}  {pairs}".rstrip()
        if trace:
            line += "".join(f"\n    | {row}" for row in trace.split("\n"))
        return line


class Quiet(logging.StreamHandler[TextIO]):
    """A log that cannot be written (closed pipe, full disk) must not disturb what is logged.

    `hold` keeps a line until `flush`, or until another line is written: their order is that in
    which they came. What is held at the end of the process is written then.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__(stream)
        self._held: deque[str] = deque()

    def hold(self, line: str) -> bool:
        """Whether it is the first one, so that somebody has to flush."""
        self._held.append(line)
        return len(self._held) == 1

    def emit(self, record: logging.LogRecord) -> None:
        self._write_held()
        super().emit(record)

    def flush(self) -> None:
        self.acquire()
        try:
            self._write_held()
            super().flush()
        except (OSError, ValueError):
            return
        finally:
            self.release()

    def _write_held(self) -> None:
        held = self._held
        if not held:
            return
        # Another thread may hold one more meanwhile: taken one by one, none is lost.
        lines = [held.popleft() for _ in range(len(held))]
        with suppress(OSError, ValueError):
            self.stream.write("\n".join(lines) + "\n")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - name of the library
        pass


def _stamp(created: float) -> str:
    moment = datetime.fromtimestamp(created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _hand_over(
    _logger: Any, _method: str, event: structlog.typing.EventDict
) -> tuple[tuple[str], dict[str, Any]]:
    """The last processor: our fields travel in the record, the renderer does the rest."""
    error = event.pop("exc_info", None)
    message = str(event.pop("event", ""))
    return (message,), {"extra": {"fields": dict(event)}, "exc_info": error}


def _text(text: str, secrets: Collection[str]) -> str:
    return one_line(redact(strip_ansi(text[: VALUE_LIMIT * 4]), secrets), VALUE_LIMIT)


def _named(name: str) -> tuple[str, bool]:
    """A field's name as it is shown, and whether what bears it is a secret."""
    return _text(name, ()), is_secret_name(name)


def _hidden(value: Any) -> Any:
    return value if value is None or isinstance(value, bool) else REDACTED


def _field(name: str, value: Any, secrets: Collection[str], depth: int) -> tuple[str, Any]:
    shown, secret = _named(name)
    return shown, _hidden(value) if secret else _plain(value, secrets, depth)


def _plain(value: Any, secrets: Collection[str], depth: int) -> Any:
    """A value JSON can hold, every text in it redacted, bounded in depth and length."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return _number(value)
    if depth < _DEPTH and isinstance(value, Mapping):
        items = [(str(name), item) for name, item in islice(value.items(), _ITEMS)]
        return dict(_field(name, item, secrets, depth + 1) for name, item in items)
    if depth < _DEPTH and isinstance(value, list | tuple | set | frozenset):
        return _listed(list(islice(value, _ITEMS)), secrets, depth)
    return _text(str(value), secrets)


def _number(value: float) -> float | str:
    """JSON here holds 64-bit integers and finite floats; the rest is written as text."""
    fits = -(2**63) <= value < 2**63 if isinstance(value, int) else math.isfinite(value)
    return value if fits else str(value)


def _listed(values: list[Any], secrets: Collection[str], depth: int) -> list[Any]:
    words = [value for value in values if isinstance(value, str)]
    if len(words) == len(values):  # perhaps a command: a flag may announce a secret
        return [_text(word, secrets) for word in redact_argv(words)]
    return [_plain(value, secrets, depth + 1) for value in values]


def _drawn(value: Any) -> str:
    if isinstance(value, str):
        plain = value and all(letter.isalnum() or letter in "._:/+@%-" for letter in value)
        return value if plain else orjson.dumps(value).decode()
    return orjson.dumps(value).decode()


def _trace(record: logging.LogRecord, secrets: Collection[str]) -> str | None:
    info = record.exc_info
    if not info or info[0] is None:
        return None
    text = "".join(traceback.format_exception(*info)).rstrip("\n")
    if len(text) > TRACE_LIMIT:
        text = f"{text[: TRACE_LIMIT // 2]}\n…\n{text[-TRACE_LIMIT // 2 :]}"
    return escape_controls(redact(strip_ansi(text), secrets), keep="\n")
