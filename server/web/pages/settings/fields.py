"""Fields of a form from the schema of `config.yaml`, and values from what was typed. Pure.

A field knows its type, bounds, choices, help and default, and where its value comes from. What was
typed becomes a value of the file when it can; when it cannot it is passed on as it is, so that the
check of the settings says what is wrong with it in its own words. Refuses to check.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from server.base.units import size
from server.config.marks import Origin
from server.config.schema import bounds, choices, field_at, kind, may_be_empty, needs_restart
from server.web.pages.settings.sections import groups

Control = Literal["text", "number", "choice", "switch", "lines"]

YES, NO = "yes", "no"
_UNITS = (
    ("_seconds", "seconds"),
    ("_minutes", "minutes"),
    ("_hours", "hours"),
    ("_mb", "MiB"),
    ("_bytes", "bytes"),
)
_LABELS = {
    "hf_home": "Hugging Face cache",
    "eth_if": "Ethernet interface",
    "ib_if": "InfiniBand interfaces",
    "bare_venv": "Virtual environment",
    "launch_cluster_dir": "launch-cluster checkout",
    "ssh_user": "SSH user",
    "max_in_flight": "At once",
    "client_in_flight": "At once for one caller",
    "on_death": "When an engine dies",
    "auto_swap": "Load what is asked for",
    "require_key": "Require an API key",
    "default_host": "Usual host",
    "models": "Models it answers to",
    "model_sent": "Model it is sent",
    "guard_bytes": "Memory guard",
    "max_upload_mb": "Largest upload",
    "queue_seconds": "Longest wait",
    "queue_limit": "Waiting at once",
    "batch_seconds": "Wait before another model",
    "residency_seconds": "A model stays at least",
    "bridge": "Bridge model",
    "default_after_seconds": "Returns after",
    "cache_mb": "Size of the cache",
    "cache_seconds": "An answer is kept for",
    "keepalive_seconds": "Comment to who waits every",
    "head_seconds": "An answer begins within",
    "stream_head_seconds": "A stream begins within",
    "socket_accept_seconds": "A WebSocket is accepted within",
    "socket_idle_seconds": "A WebSocket may be idle for",
    "socket_seconds": "A WebSocket may last for",
    "max_transcribe_seconds": "Longest recording",
    "max_diarize_seconds": "Longest recording with speakers",
    "long_seconds": "Heard in parts above",
    "part_seconds": "Length of a part",
    "overlap_seconds": "Parts overlap by",
    "max_recordings": "Heard in parts at once",
    "spool_mb": "Space for recordings",
    "echo": "Look for echo",
    "referee": "Referee",
    "referee_seconds": "The referee may take",
    "max_streams": "Live streams at once",
    "stream_step_seconds": "New speech of a window",
    "stream_window_seconds": "Longest window",
    "stream_buffer_seconds": "Sound kept of a stream",
    "stream_resume_seconds": "A stream is kept for",
    "dialect": "How it speaks",
    "native_stream": "Hears live streams itself",
    "sample_seconds": "A sample every",
    "keep_minutes": "Samples are kept for",
    "stale_seconds": "Unknown after",
    "allowed_hosts": "Names",
    "every_hours": "One every",
    "keep_daily": "Days of which one is kept",
    "keep_weekly": "Weeks of which one is kept",
}
_NONE = Origin("default")


@dataclass(frozen=True, slots=True)
class Field:
    """`name` is the key in the form, `setting` how the documentation calls it. `suggestions` are
    offered and nothing more; `choices` are all there is. `origin` is where the value in force comes
    from: with `variable` it is the environment, and the field cannot be changed."""

    name: str
    setting: str
    label: str
    control: Control
    help: tuple[tuple[str, bool], ...]
    default: str
    unit: str = ""
    least: str = ""
    most: str = ""
    whole: bool = False
    choices: tuple[tuple[str, str], ...] = ()
    suggestions: tuple[str, ...] = ()
    required: bool = False
    restart: bool = False
    origin: str = "default"
    variable: str = ""


@dataclass(frozen=True, slots=True)
class FieldGroup:
    title: str
    fields: tuple[Field, ...]
    folded: bool = False


def field_groups(
    section: str,
    *,
    origins: Mapping[str, Origin] | None = None,
    offers: Mapping[str, Sequence[str]] | None = None,
) -> tuple[FieldGroup, ...]:
    """`origins` by key, for a section of its own. `offers`: names that may be meant, by key; for
    `host` and `default_host` they are all there is to choose from."""
    return tuple(
        FieldGroup(
            group.title,
            tuple(
                field_of(
                    section,
                    key,
                    (origins or {}).get(key, _NONE),
                    tuple((offers or {}).get(key, ())),
                )
                for key in group.keys
            ),
            group.folded,
        )
        for group in groups(section)
    )


def field_of(section: str, key: str, origin: Origin = _NONE, offers: tuple[str, ...] = ()) -> Field:
    info = _info(section, key)
    control = control_of(info)
    label, unit = _label(key)
    least, most = bounds(info)
    options = tuple((one, one) for one in choices(info))
    if key in {"host", "default_host"}:
        control, options = "choice", tuple((one, one) for one in offers)
    if control == "choice" and may_be_empty(info):
        options = (("", "not set"), *options)
    return Field(
        name=key,
        setting=f"{section}.{key}",
        label=label,
        control=control,
        help=marked(info.description or ""),
        default=default_words(info, key),
        unit=unit,
        least="" if least is None else f"{least:.16g}",
        most="" if most is None else f"{most:.16g}",
        whole=kind(info) == "whole number",
        choices=options,
        suggestions=() if control == "choice" else offers,
        required=info.is_required(),
        restart=needs_restart(info),
        origin=origin.source,
        variable=origin.variable or "",
    )


def control_of(info: FieldInfo) -> Control:
    if choices(info):
        return "choice"
    word = kind(info)
    if word.startswith("list of"):
        return "lines"
    if word == "true or false":
        return "switch"
    return "number" if word in {"number", "whole number"} else "text"


def default_words(info: FieldInfo, key: str = "") -> str:
    default = info.default
    if default is PydanticUndefined:
        return ""
    if default is None or default == ():
        return "empty"
    if isinstance(default, bool):
        return YES if default else NO
    if key.endswith("_bytes") and isinstance(default, int):
        return f"{default} ({size(default)})"
    return _plain(default)


# ---- values <-> text


def shown(section: str, values: Mapping[str, Any]) -> dict[str, str]:
    """The text of every field, of settings as JSON has them."""
    return {key: _text(values.get(key)) for group in groups(section) for key in group.keys}


def read(section: str, given: Mapping[str, str]) -> dict[str, Any]:
    """What the fields that were sent mean. Those that were not sent are absent."""
    return {
        key: _value(_info(section, key), given[key])
        for group in groups(section)
        for key in group.keys
        if key in given
    }


def base_of(texts: Mapping[str, str]) -> str:
    """What the form showed when it was drawn, to travel with it in a hidden field."""
    return json.dumps(texts, ensure_ascii=True, separators=(",", ":"))


def touched(given: Mapping[str, str], base: str) -> dict[str, str]:
    """The fields in which something else stands than when the form was drawn; all of them where
    that is not told."""
    before = _parsed(base)
    return {
        name: value
        for name, value in given.items()
        if name not in before or _same(value) != _same(before[name])
    }


def _parsed(base: str) -> dict[str, str]:
    try:
        found = json.loads(base)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: value for name, value in found.items() if isinstance(value, str)}


def _same(text: str) -> str:
    """Browsers end lines with CR LF."""
    return "\n".join(line.rstrip() for line in text.splitlines()).strip()


def _value(info: FieldInfo, text: str) -> Any:
    text = text.strip()
    control = control_of(info)
    if control == "lines":
        return _lines(info, text)
    if not text:
        return None if may_be_empty(info) else "" if info.is_required() else info.default
    if control == "switch" and text in {YES, NO}:
        return text == YES
    if control == "number":
        return _number(text, whole=kind(info) == "whole number")
    return text


def _lines(info: FieldInfo, text: str) -> list[Any]:
    if kind(info) == "list of groups":
        return list(links_of(text))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return [part.strip() for line in lines for part in line.split(",") if part.strip()]


def links_of(text: str) -> list[dict[str, str]]:
    """A line each, like `Open WebUI http://spark-2:3000`: the name, then the address."""
    parts = [line.strip().rpartition(" ") for line in text.splitlines() if line.strip()]
    return [{"name": name.strip(), "url": url} for name, _, url in parts]


def _number(text: str, *, whole: bool) -> Any:
    """Text that is no number stays text: the check says so."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        return text
    return text if whole and not number.is_integer() else number


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return "\n".join(map(_line, value))
    return _plain(value)


def _line(item: Any) -> str:
    return " ".join(map(str, item.values())) if isinstance(item, Mapping) else str(item)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return YES if value else NO
    if isinstance(value, float):
        return f"{value:.16g}"
    return str(value)


def _info(section: str, key: str) -> FieldInfo:
    info = field_at((section, key))
    if info is None:
        raise KeyError(f"{section}.{key}")
    return info


def _label(key: str) -> tuple[str, str]:
    unit = ""
    stem = key
    for suffix, word in _UNITS:
        if key.endswith(suffix):
            stem, unit = key.removesuffix(suffix), word
    words = _LABELS.get(key) or stem.replace("_", " ")
    return words[:1].upper() + words[1:], unit


def marked(text: str) -> tuple[tuple[str, bool], ...]:
    """`code` in descriptions, as (text, whether it is code)."""
    parts = text.split("`")
    return tuple((part, index % 2 == 1) for index, part in enumerate(parts) if part)
