"""Hosts in the settings: the list, one with its doctor and its key, the form. Pure."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from server.base.finding import Finding, Severity
from server.config.model import Host, Service
from server.fleet.examination import Examination
from server.fleet.model import HostStatus
from server.ssh.model import Refusal
from server.swap.model import Serving
from server.web.pages.moment import Moment, moment
from server.web.pages.settings.section import SectionForm, SettingsPage

COMPARE = "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"
"""What a person types on the machine's own console to see the fingerprint of its key."""
_ORDER = (Severity.ERROR, Severity.WARNING, Severity.UNKNOWN, Severity.INFO, Severity.OK)


@dataclass(frozen=True, slots=True)
class OurKey:
    """`command` puts our public key where it belongs, run on the machine as the user."""

    line: str
    command: str


@dataclass(frozen=True, slots=True)
class HostKeyNow:
    """The fingerprint that is trusted, and the other one that the machine shows, if it does."""

    pinned: str
    offered: str
    compare: str = COMPARE


@dataclass(frozen=True, slots=True)
class DoctorCard:
    """What the doctor found; drawn anew as findings come in. `state` is never, running, good or
    bad."""

    template: ClassVar[str] = "settings/doctor.html"

    host: str
    state: str
    began: Moment | None
    ended: Moment | None
    findings: tuple[Finding, ...]

    @property
    def bad(self) -> tuple[Finding, ...]:
        return tuple(one for one in self.findings if one.severity is not Severity.OK)

    @property
    def fine(self) -> tuple[Finding, ...]:
        return tuple(one for one in self.findings if one.severity is Severity.OK)


@dataclass(frozen=True, slots=True)
class Removal:
    """`blockers` are what has to go first; empty: it can be removed."""

    question: str
    blockers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HostEntry:
    name: str
    place: str
    user: str
    labels: tuple[str, ...]
    cluster_address: str
    health: str
    reason: str
    key: HostKeyNow
    services: tuple[str, ...]
    served: tuple[str, ...]
    removal: Removal


@dataclass(frozen=True, slots=True)
class HostsList:
    """Drawn anew as the hosts come and go."""

    template: ClassVar[str] = "settings/hosts-list.html"

    hosts: tuple[HostEntry, ...]


@dataclass(frozen=True, slots=True)
class HostsPage(SettingsPage):
    template: ClassVar[str] = "settings/hosts.html"

    list: HostsList
    ours: OurKey
    variable: str


@dataclass(frozen=True, slots=True)
class FirstKey:
    """A key that nobody has trusted yet: `key` travels with the form, `fingerprint` is shown. `of`
    is the address that showed it, `old` the fingerprint that was trusted there before."""

    key: str
    fingerprint: str
    of: str
    old: str = ""
    compare: str = COMPARE


@dataclass(frozen=True, slots=True)
class HostForm:
    """The fields; when the machine was asked, the key that it shows, or that it did not answer."""

    template: ClassVar[str] = "settings/host-form.html"

    fields: SectionForm
    first: FirstKey | None = None
    silent: str = ""
    advice: str = ""


@dataclass(frozen=True, slots=True)
class HostPage(SettingsPage):
    """`host` is None for a new one."""

    template: ClassVar[str] = "settings/host.html"

    host: HostEntry | None
    form: HostForm
    doctor: DoctorCard | None
    ours: OurKey
    variable: str


def our_key(line: str) -> OurKey:
    put = f"echo {shlex.quote(line)} >> ~/.ssh/authorized_keys"
    return OurKey(
        line, f"umask 077 && mkdir -p ~/.ssh && {put} && chmod 600 ~/.ssh/authorized_keys"
    )


def doctor_card(host: str, examination: Examination | None, now: datetime) -> DoctorCard:
    """What is wrong first."""
    if examination is None:
        return DoctorCard(host, "never", None, None, ())
    state = "running" if examination.running else "good" if examination.good else "bad"
    ordered = sorted(examination.findings, key=lambda one: _ORDER.index(one.severity))
    return DoctorCard(
        host,
        state,
        moment(examination.began, now),
        moment(examination.ended, now),
        tuple(ordered),
    )


def host_entry(
    host: Host,
    status: HostStatus | None,
    pinned: str | None,
    refused: Refusal | None,
    *,
    services: Sequence[Service],
    layout: Sequence[Serving],
    default_host: str | None,
) -> HostEntry:
    on_it = tuple(one.name for one in services if one.host == host.name)
    served = tuple(
        serving.model
        for serving in layout
        if host.name in {node.host for node in serving.deployment.spec.nodes}
    )
    return HostEntry(
        name=host.name,
        place=host.address if host.port == 22 else f"{host.address} port {host.port}",
        user=host.user,
        labels=host.labels,
        cluster_address=host.cluster_address or "",
        health=status.verdict.health.value if status else "unknown",
        reason=(status.verdict.reason if status else "") or "Not looked at yet.",
        key=HostKeyNow(refused.old if refused else pinned or "", refused.new if refused else ""),
        services=on_it,
        served=served,
        removal=removal(host.name, on_it, served, default_host),
    )


def removal(
    name: str, services: Sequence[str], served: Sequence[str], default_host: str | None
) -> Removal:
    blockers = [f"{model} is served on it: unload it first" for model in served]
    blockers += [f"the service {one} runs on it: change or remove it first" for one in services]
    if default_host == name:
        blockers.append("it is the usual host of the engine: choose another one first")
    question = (
        f"Spark Control forgets {name}: no figures, no models there any more. Nothing is changed "
        "on the machine itself, and what runs there goes on."
    )
    return Removal(question, tuple(blockers))
