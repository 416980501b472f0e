"""API keys: the list with what each used today, the form, the one moment when a key is shown. Pure.

The text of a key is in one view, which is drawn once and not kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar

from pydantic import ValidationError

from server.base.clock import iso
from server.gateway.keys.model import NAME_USE, SCOPES, Key
from server.gateway.limits.model import Limits
from server.gateway.usage.model import ANONYMOUS, Sums
from server.web.errors import InvalidFields
from server.web.pages.form import FormView, fresh, version_of
from server.web.pages.moment import Moment, moment
from server.web.pages.settings.section import SettingsPage

SCOPE_WORDS = {
    "gateway": "Use the gateway: chat, speech, embeddings and the rest under /v1",
    "read": "Read the JSON API",
    "admin": "Everything, also keys and settings",
}
SWAP_CHOICES = (
    ("", "as the settings say"),
    ("auto", "auto: a model that is not loaded is swapped in"),
    ("ask", "ask: a person is asked to load it"),
    ("never", "never: only what is loaded"),
)
LIMITS = (
    ("requests_per_minute", "Requests a minute"),
    ("tokens_per_minute", "Tokens a minute"),
    ("tokens_per_day", "Tokens a day"),
    ("audio_seconds_per_minute", "Seconds of audio a minute"),
    ("audio_seconds_per_day", "Seconds of audio a day"),
)
_WHOLE = ("requests_per_minute", "tokens_per_minute", "tokens_per_day")
_WRONG = {
    "name": f"use {NAME_USE}",
    "scopes": "choose at least one",
    "models": "write ids of models and names of services, one per line, at most 200",
    "priority": "use a whole number from -100 to 100",
    "max_in_flight": "use a whole number from 1 to 10000, or leave it empty",
    "swap": "choose one of these",
    "requests_per_minute": "use a whole number from 1 to 1000000, or leave it empty",
    "tokens_per_minute": "use a whole number of at least 1, or leave it empty",
    "tokens_per_day": "use a whole number of at least 1, or leave it empty",
    "audio_seconds_per_minute": "use a number above 0, or leave it empty",
    "audio_seconds_per_day": "use a number above 0, or leave it empty",
    "expires_at": "use a date and time like 2027-01-31T12:00 (UTC), or leave it empty",
}


@dataclass(frozen=True, slots=True)
class KeyEntry:
    id: str
    name: str
    prefix: str
    state: str
    scopes: tuple[str, ...]
    models: tuple[str, ...]
    limits: tuple[str, ...]
    today: str
    created: Moment | None
    last_used: Moment | None
    expires: str
    revoke: str


@dataclass(frozen=True, slots=True)
class KeyForm:
    """`models` are offered for what a key may use."""

    template: ClassVar[str] = "settings/key-form.html"

    id: str
    action: str
    submit: str
    form: FormView
    models: tuple[str, ...]
    scopes: tuple[tuple[str, str], ...] = tuple(SCOPE_WORDS.items())
    limits: tuple[tuple[str, str], ...] = LIMITS
    swaps: tuple[tuple[str, str], ...] = SWAP_CHOICES


@dataclass(frozen=True, slots=True)
class ShownKey:
    """The one time that the text of a key is seen."""

    template: ClassVar[str] = "settings/key-shown.html"
    kept: ClassVar[bool] = False

    name: str
    text: str
    example: str


@dataclass(frozen=True, slots=True)
class KeysPage(SettingsPage):
    template: ClassVar[str] = "settings/keys.html"

    keys: tuple[KeyEntry, ...]
    ended: tuple[KeyEntry, ...]
    anonymous: str
    open: bool
    required: bool


@dataclass(frozen=True, slots=True)
class KeyPage(SettingsPage):
    """`key` is None for a new one."""

    template: ClassVar[str] = "settings/key.html"

    key: KeyEntry | None
    form: KeyForm


@dataclass(frozen=True, slots=True)
class ShownKeyPage(SettingsPage):
    template: ClassVar[str] = "settings/key-shown-page.html"
    kept: ClassVar[bool] = False

    shown: ShownKey


def key_entry(key: Key, today: Sums | None, now: datetime) -> KeyEntry:
    draft = key.draft
    return KeyEntry(
        id=key.id,
        name=key.name,
        prefix=str(key.to_dict(now)["prefix"]),
        state=key.state(now),
        scopes=tuple(scope for scope in SCOPES if scope in draft.scopes),
        models=draft.models,
        limits=limit_words(draft.limits, draft.max_in_flight, draft.priority, draft.swap),
        today=used_words(today),
        created=moment(key.created_at, now),
        last_used=moment(key.last_used_at, now),
        expires=(iso(draft.expires_at) or "")[:16].replace("T", " "),
        revoke=(
            f"Every program that uses {key.name} is refused from now on, for good. It used today: "
            f"{used_words(today)}. What it has used stays counted."
        ),
    )


def keys_page_parts(
    keys: Sequence[Key], sums: Mapping[str, Sums], now: datetime
) -> tuple[tuple[KeyEntry, ...], tuple[KeyEntry, ...], str]:
    """Those that are good, those that are not any more, and what those without a key used."""
    entries = [key_entry(key, sums.get(key.id), now) for key in keys]
    good = tuple(one for one in entries if one.state == "active")
    ended = tuple(one for one in entries if one.state != "active")
    return good, ended, used_words(sums.get(ANONYMOUS))


def used_words(sums: Sums | None) -> str:
    if sums is None or not sums.requests:
        return "nothing"
    parts = [f"{_count(sums.requests)} request{'' if sums.requests == 1 else 's'}"]
    tokens = sums.prompt_tokens + sums.completion_tokens
    if tokens:
        parts.append(f"{_count(tokens)} tokens")
    if sums.audio_seconds:
        parts.append(f"{sums.audio_seconds:.0f} s of audio")
    if sums.errors:
        parts.append(f"{_count(sums.errors)} failed")
    return ", ".join(parts)


def _count(value: float) -> str:
    return f"{value:,.16g}".replace(",", "\u202f")


def limit_words(
    limits: Limits, in_flight: int | None, priority: int, swap: str | None
) -> tuple[str, ...]:
    words = [
        f"{_count(value)} {label[0].lower()}{label[1:]}"
        for name, label in LIMITS
        if (value := getattr(limits, name)) is not None
    ]
    words += [f"{in_flight} at once"] if in_flight else []
    words += [f"priority {priority}"] if priority else []
    return (*words, f"swap {swap}") if swap else tuple(words)


# ---- the form


def new_form(models: Sequence[str]) -> KeyForm:
    return KeyForm(
        "key-form",
        "/ui/settings/keys",
        "Create the key",
        fresh({"scope_gateway": "yes"}),
        tuple(models),
    )


def form_for(key: Key, models: Sequence[str]) -> KeyForm:
    texts = texts_of(key)
    return KeyForm(
        "key-form",
        f"/ui/settings/keys/{key.id}",
        "Save",
        fresh(texts, version_of(texts)),
        tuple(models),
    )


def with_form(form: KeyForm, given: FormView) -> KeyForm:
    return replace(form, form=given)


def texts_of(key: Key) -> dict[str, str]:
    draft = key.draft
    texts = {
        "name": draft.name,
        "models": "\n".join(draft.models),
        "priority": str(draft.priority or ""),
        "max_in_flight": str(draft.max_in_flight or ""),
        "swap": draft.swap or "",
        "expires_at": "" if draft.expires_at is None else (iso(draft.expires_at) or "")[:16],
    }
    texts |= {f"scope_{scope}": "yes" for scope in SCOPES if scope in draft.scopes}
    for name, _ in LIMITS:
        value = getattr(draft.limits, name)
        texts[name] = "" if value is None else f"{value:.16g}"
    return texts


def body_of(given: Mapping[str, str]) -> dict[str, Any]:
    """As `POST /api/v1/keys` takes it; what is not understood stays as it was typed."""
    text = {name: value.strip() for name, value in given.items()}
    expires_at = text.get("expires_at", "")
    limits = {name: _number(text.get(name, ""), whole=name in _WHOLE) for name, _ in LIMITS}
    return {
        "name": text.get("name", ""),
        "scopes": [scope for scope in SCOPES if text.get(f"scope_{scope}")],
        "models": [one.strip() for one in text.get("models", "").splitlines() if one.strip()],
        "priority": _number(text.get("priority", ""), whole=True) or 0,
        "max_in_flight": _number(text.get("max_in_flight", ""), whole=True),
        "swap": text.get("swap") or None,
        "limits": limits,
        "expires_at": f"{expires_at}:00Z" if len(expires_at) == 16 else expires_at or None,
    }


def wrong_fields(error: ValidationError) -> InvalidFields:
    """Each mistake once, at the field of the form, with what to write instead."""
    names = [
        next((part for part in reversed(entry["loc"]) if part in _WRONG), "")
        for entry in error.errors(include_url=False)
    ]
    found = [(str(name), _WRONG.get(str(name), "is not right")) for name in dict.fromkeys(names)]
    return InvalidFields(found)


def _number(text: str, *, whole: bool) -> Any:
    if not text:
        return None
    try:
        return int(text) if whole else float(text)
    except ValueError:
        return text
