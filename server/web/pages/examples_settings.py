"""What the styleguide shows of the settings and the first run, in fragments. Pure.

Made by the functions that make the real ones, as `examples` is. The keys are no keys.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from server.base.errors import InvalidValue
from server.base.finding import Finding, Severity
from server.base.health import Verdict
from server.config.marks import Origin
from server.config.model import Host
from server.fleet.examination import Examination
from server.fleet.model import HostStatus
from server.ssh.model import Refusal, Target
from server.web.pages.attempt.answer import Failure
from server.web.pages.attempt.choice import Now
from server.web.pages.attempt.snippet import Code
from server.web.pages.attempt.view import Voices
from server.web.pages.draw import View
from server.web.pages.examples import HOSTILE, KEYS, LONG, Shown
from server.web.pages.form import fresh, outdated, refused
from server.web.pages.moment import moment
from server.web.pages.settings import item, section
from server.web.pages.settings.about import AboutCard, Check
from server.web.pages.settings.backup import Findings, MakeForm
from server.web.pages.settings.host import FirstKey, HostForm, HostsList, doctor_card, host_entry
from server.web.pages.settings.key import KeyForm, ShownKey
from server.web.pages.welcome.view import FoundCard, NextCard, Scan, found_model

HOST = Host(name="spark-1", address="192.0.2.11", labels=("llm",))
GOOD = Finding("ssh", Severity.OK, "It is reached as ubuntu.", "", "spark-1")
BAD = Finding("docker", Severity.ERROR, "docker does not run.", "Start it.", "spark-1")
ODD = Finding("tools", Severity.UNKNOWN, HOSTILE, LONG, "spark-1")


def every(now: datetime) -> tuple[Shown, ...]:
    return (
        Shown("settings-hosts", "Hosts in the settings", _hosts(now)),
        Shown("host-form", "The form of a host", _host_forms()),
        Shown("doctor", "The doctor", _doctors(now)),
        Shown("section", "A section of the settings", _sections()),
        Shown("keys", "API keys", _keys()),
        Shown("backups", "Backups", _backups()),
        Shown("about", "This program", _about()),
        Shown("welcome", "The first run", _welcome(now)),
        Shown("try", "Pieces of Try it", _tries()),
    )


def _hosts(now: datetime) -> tuple[tuple[str, View], ...]:
    def entry(verdict: Verdict, refusal: Refusal | None = None, **changes: Any) -> HostsList:
        status = HostStatus("spark-1", verdict, None, now)
        host = HOST.model_copy(update=changes)
        made = host_entry(
            host, status, KEYS[0], refusal, services=(), layout=(), default_host="spark-1"
        )
        return HostsList((made,))

    target = Target("spark-1", "192.0.2.11", 22, "ubuntu")
    lost = Verdict.unknown("SSH timed out")
    return (
        ("none yet", HostsList(())),
        ("up", entry(Verdict.up())),
        ("not reached, long labels", entry(lost, labels=(LONG, "llm"), port=2222)),
        ("another host key", entry(lost, Refusal(target, *KEYS, "ssh-ed25519 AAAA"))),
    )


def _host_forms() -> tuple[tuple[str, View], ...]:
    blank = item.blank("hosts", "/ui/settings/hosts", {}, "Look at its key")
    first = FirstKey("ssh-ed25519 AAAA", KEYS[0], "192.0.2.11")
    return (
        ("a new one", HostForm(blank)),
        ("is this its key?", HostForm(blank, first)),
        ("another key was trusted", HostForm(blank, replace(first, old=KEYS[1]))),
        ("it does not answer", HostForm(blank, silent="192.0.2.11 does not answer.", advice=LONG)),
    )


def _doctors(now: datetime) -> tuple[tuple[str, View], ...]:
    began = now - timedelta(seconds=8)
    running = Examination(HOST, began, None, (GOOD,))
    return (
        ("never asked", doctor_card("spark-1", None, now)),
        ("looking", doctor_card("spark-1", running, now)),
        ("all is well", doctor_card("spark-1", replace(running, ended=now), now)),
        (
            "needs attention",
            doctor_card("spark-1", Examination(HOST, began, now, (GOOD, BAD, ODD)), now),
        ),
    )


def _sections() -> tuple[tuple[str, View], ...]:
    origins = {
        "sample_seconds": Origin("environment", "SPARK_CONTROL_FLEET__SAMPLE_SECONDS"),
        "keep_minutes": Origin("file"),
    }
    values = {"sample_seconds": 1, "keep_minutes": 60, "stale_seconds": 10}
    form = section.opened("fleet", values, "1f2e3d", origins=origins)
    typed = {**dict(form.form.values), "keep_minutes": "-5"}
    mistake = InvalidValue("Use a number from 1 to 1440", param="keep_minutes")
    theirs = {**dict(form.form.values), "keep_minutes": "120"}
    return (
        ("as opened, one fixed by the environment", form),
        ("a field is wrong", replace(form, form=refused(typed, mistake))),
        ("changed meanwhile", replace(form, form=outdated(typed, theirs, "4c5b6a"))),
    )


def _keys() -> tuple[tuple[str, View], ...]:
    given = {"name": "minutes", "scope_gateway": "yes", "priority": "0"}
    blank = KeyForm("key-form", "/ui/settings/keys", "Create the key", fresh(given), ("qwen3-32b",))
    mistake = InvalidValue("use letters and digits", param="name")
    wrong = refused({**given, "name": HOSTILE}, mistake)
    shown = ShownKey("minutes", "sk-spark-this-is-no-key-and-opens-nothing", "http://box:9999/v1")
    return (
        ("shown this once", shown),
        ("a new one", blank),
        ("a field is wrong", replace(blank, form=wrong)),
    )


def _backups() -> tuple[tuple[str, View], ...]:
    return (
        ("to be made", MakeForm()),
        ("the passphrase will not do", MakeForm("It is too short.", "Use ten characters.")),
        ("it can be restored", Findings("manual-1", ready=True, findings=(GOOD,))),
        ("it cannot", Findings("manual-1", ready=False, findings=(BAD, ODD, GOOD))),
        ("it could not be looked into", Findings("manual-1", False, (), "It is damaged.", LONG)),
    )


def _about() -> tuple[tuple[str, View], ...]:
    rows = (("Version", "1.0.0"), ("Data directory", f"/data/{LONG}"), ("Database", HOSTILE))
    checks = (Check("database", "up", ""), Check("ssh key", "down", "it is missing"))
    return (
        ("all is well", AboutCard(rows, checks[:1], tight=False)),
        ("the disk is nearly full, a check fails", AboutCard(rows, checks, tight=True)),
    )


def _welcome(now: datetime) -> tuple[tuple[str, View], ...]:
    scans = (Scan("spark-1", moment(now, now), ""), Scan("spark-2", None, "not reachable"))
    models = (
        found_model("Qwen/Qwen3-8B", ("spark-1",), ""),
        found_model("Qwen/Qwen3-32B-FP8", ("spark-1", "spark-2"), "qwen3-32b"),
        found_model(HOSTILE, (LONG,), ""),
    )
    return (
        ("looking for models", FoundCard((Scan("spark-1", None, ""),), (), 0)),
        ("nothing found", FoundCard(scans, (), 0)),
        ("found", FoundCard(scans, models, 4)),
        ("the next step may be taken", NextCard("host", "Load the first model", True, "")),
        ("it is waited for", NextCard("doctor", "", False, "It does not answer yet.")),
    )


def _tries() -> tuple[tuple[str, View], ...]:
    failed = Failure("parakeet does not answer.", "Restart it.", "req-1")
    return (
        ("served", Now(("qwen3-32b", LONG), "", None)),
        ("nothing loaded, a swap goes on", Now((), "Loading: gpt-oss-20b", 41)),
        ("voices not asked for", Voices(None, "", None)),
        ("voices", Voices(("af_sky", "am_adam"), "af_sky", None)),
        ("no voices listed", Voices((), "", None)),
        ("voices could not be asked for", Voices(None, "", failed)),
        ("the same in code", Code("chat", f"curl http://box:9999 -d '{HOSTILE}'", "print(1)")),
        ("code when the form is right", Code("chat", wrong=("message: say something",))),
    )
