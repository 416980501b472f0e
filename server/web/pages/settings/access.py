"""Who may use the dashboard: mode, password, sessions. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from server.auth.session import Session
from server.web.pages.form import FormView
from server.web.pages.moment import Moment, moment
from server.web.pages.settings.section import SettingsPage


@dataclass(frozen=True, slots=True)
class SessionRow:
    id: str
    address: str
    agent: str
    began: Moment | None
    used: Moment | None
    here: bool


@dataclass(frozen=True, slots=True)
class AccessPage(SettingsPage):
    """`locked`: a password is asked for now. `fixed`: the environment says so, and the page
    cannot change it. `possible`: a password is set."""

    template: ClassVar[str] = "settings/access.html"

    locked: bool
    fixed: str
    possible: bool
    password: FormView
    sessions: tuple[SessionRow, ...]


def session_rows(
    sessions: Sequence[Session], here: Session | None, now: datetime
) -> tuple[SessionRow, ...]:
    return tuple(
        SessionRow(
            one.id,
            one.address,
            browser(one.agent),
            moment(one.created_at, now),
            moment(one.last_used_at, now),
            here is not None and one.id == here.id,
        )
        for one in sessions
    )


def browser(agent: str) -> str:
    """What a person calls it. Order matters: most of them claim to be one of the others."""
    names = (("Edg", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrom", "Chromium"))
    name = next((name for mark, name in names if mark in agent), "")
    if not name:
        name = "Safari" if "Safari/" in agent else agent[:40] or "unknown"
    systems = ("Android", "iPhone", "iPad", "Windows", "Mac OS", "Linux")
    system = next((one for one in systems if one in agent), "")
    return f"{name} on {system.replace('Mac OS', 'macOS')}" if system else name
