"""The package and the app say the same: settings, bounds, defaults, places, the user."""

import json
import re
from typing import Any, get_args

import pytest
from pydantic import TypeAdapter, ValidationError

from server.config import model
from server.config.model import Settings, disagreements
from server.config.paths import DataDir
from tests.startos.box import ROOT, Box

LEFT_OUT = {
    "anonymous.audio_seconds_per_day": "behind the proxy of StartOS everybody has one address",
    "anonymous.audio_seconds_per_minute": "behind the proxy of StartOS everybody has one address",
    "anonymous.max_in_flight": "behind the proxy of StartOS everybody has one address",
    "anonymous.requests_per_minute": "behind the proxy of StartOS everybody has one address",
    "anonymous.tokens_per_day": "behind the proxy of StartOS everybody has one address",
    "anonymous.tokens_per_minute": "behind the proxy of StartOS everybody has one address",
    "backup.every_hours": "StartOS makes backups of its own",
    "backup.keep_daily": "StartOS makes backups of its own",
    "backup.keep_weekly": "StartOS makes backups of its own",
    "fleet.keep_minutes": "nobody needs a form for it",
    "fleet.sample_seconds": "nobody needs a form for it",
    "fleet.stale_seconds": "nobody needs a form for it",
    "links.name": "links are written by hand",
    "links.url": "links are written by hand",
    "services.links": "links are written by hand",
    "log.format": "a service has no terminal",
}


def resolved(schema: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    """Without references, and the one shape of `X | None`."""
    if "$ref" in schema:
        target = whole["$defs"][schema["$ref"].rpartition("/")[2]]
        schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
    return schema


def facts(schema: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    """What must agree of one setting: kind, bounds, choices, default; a null may be allowed."""
    schema = resolved(schema, whole)
    kinds = [resolved(one, whole) for one in schema.get("anyOf", [schema])]
    [kind] = [one for one in kinds if one.get("type") != "null"]
    kept = {key: kind[key] for key in ("type", "minimum", "maximum", "enum") if key in kind}
    if "enum" in kept:
        kept["type"] = "string"
    default = schema.get("default", "required")
    return {**kept, "null": len(kinds) > 1, "default": default}


def settings_of(whole: dict[str, Any]) -> dict[str, Any]:
    """`engine.port` -> facts, for a schema of pydantic or of zod."""
    found = {}
    for section, schema in whole["properties"].items():
        group = resolved(schema, whole)
        if group.get("type") == "array":
            group = resolved(group["items"], whole)
        for name, field in group["properties"].items():
            found[f"{section}.{name}"] = facts(field, whole)
    return found


def test_every_setting_of_the_app_has_a_form_or_a_reason(standing: Box) -> None:
    """Names, kinds, bounds, choices and defaults; a setting that is new fails here."""
    ours = settings_of({"properties": standing.ask("schema")})
    theirs = settings_of(Settings.model_json_schema())
    assert set(theirs) - set(ours) == set(LEFT_OUT)
    for name, fact in ours.items():
        assert fact == theirs[name], name


def fields(spec: dict[str, Any]) -> set[str]:
    """Names of the fields of a form, below its lists and objects."""
    found: set[str] = set()
    for name, field in spec.items():
        inner = field["spec"].get("spec") if field["type"] == "list" else field.get("spec")
        if isinstance(inner, dict):
            found |= {f"{name}.{one}" for one in inner}
        else:
            found.add(name)
    return found


def test_every_setting_is_in_exactly_one_form(standing: Box) -> None:
    """None is forgotten, none can be set in two places."""
    forms = {
        "configure-sparks": "",
        "configure-services": "",
        "limits": "",
        "public-names": "web.",
        "log-level": "log.",
        "password": "auth.",
    }
    seen: list[str] = []
    for action, prefix in forms.items():
        spec = standing.ask("form", id=action)["spec"]
        seen += [prefix + name for name in fields(spec)]
    seen.remove("auth.password")  # no setting: its hash is a file of its own
    assert sorted(seen) == sorted(settings_of({"properties": standing.ask("schema")}))


TEXTS = [
    "", "a", "A", "-a", "a-", "a_b", "a b", "a.b", "a/b", "a//b", "a..b", "a:b", "a@b", "a,b", "*",
    "a" * 32, "a" * 33, "a" * 63, "a" * 64, "a" * 128, "a" * 129, "a" * 254, "a" * 255, "a" * 256,
    " a ", "\ta\n", "a\nb", "a\x00b", "ä", "a\u200b", "\uff41", "1", "0x1", "_a", "~a",
    "192.0.2.1", "2001:db8::1", "[::1]", "host.example.", "user@host", "-o", "a=b", "a%b", "a?b",
    "/", "//", "///", "/a", "//a", "///a", "/a/", "/a//b", "/a/./b", "/a/../b", "/..", "/...",
    "/a b", "/a\u00a0b", "/a\u2028", "/ä", "/a\x7f", "a/..", "/health?x=1&y=%20", "/a#b",
    "docker", "bare", "asr", "https", "debug", "DEBUG", "restart", "eth0,eth1", "eth0,", ",eth0",
    "reg.example:5000/a/b:1", "name@sha256:" + "0" * 64,
]  # fmt: skip
NUMBERS = [
    -1, 0, 0.5, 1, 1.5, 22, 100, 101, 600, 600.5, 601, 1023, 1024, 1025, 3600, 3601, 65535, 65536,
    86400, 86401, 604800, 604801, 2**20, 2**20 + 1, 2**40, 2**40 + 1,
]  # fmt: skip
OTHERS: list[Any] = [None, True, False, [], ["a"], ["A b"], ["/a"], ["*"], [1], {}]
# pydantic reads numbers in text and switches in numbers, as people write them; no form sends that.
LAX = {"number": (str,), "integer": (str,), "boolean": (str, int, float)}


def test_both_sides_take_and_refuse_the_same_values(standing: Box) -> None:
    """Every setting of every form is judged by zod and by pydantic over the same values."""
    whole = Settings.model_json_schema()
    kinds = {name: fact["type"] for name, fact in settings_of(whole).items()}
    groups = {"hosts": model.Host, "services": model.Service}
    sound = {
        "hosts": {"name": "a", "address": "a"},
        "services": {"name": "a", "kind": "asr", "host": "a", "port": 1},
    }
    wrong = []
    count = 0
    for section, schema in standing.ask("schema").items():
        many = schema["type"] == "array"
        properties = schema["items"]["properties"] if many else schema["properties"]
        group = groups.get(section) or type(getattr(Settings(), section))
        judge = TypeAdapter(group)
        tried = [
            (name, value)
            for name in properties
            for value in [*TEXTS, *NUMBERS, *OTHERS]
            if type(value) not in LAX.get(kinds[f"{section}.{name}"], ())
        ]
        bodies = [{**sound.get(section, {}), name: value} for name, value in tried]
        sent = [[body] if many else body for body in bodies]
        verdicts = standing.ask("judge", section=section, values=sent)
        for (name, value), body, verdict in zip(tried, bodies, verdicts, strict=True):
            count += 1
            try:
                kept = getattr(judge.validate_python(body), name)
                theirs: tuple[bool, Any] = (True, list(kept) if isinstance(kept, tuple) else kept)
            except ValidationError:
                theirs = (False, None)
            data = verdict.get("data")
            ours = (verdict["ok"], (data[0] if many else data)[name] if verdict["ok"] else None)
            if ours != theirs:
                wrong.append((section, name, value, ours, theirs))
    assert not wrong
    assert count > 3000


@pytest.mark.parametrize(
    "body",
    [
        {"hosts": [], "services": [], "engine": {}},
        {"hosts": [{"name": "a"}, {"name": "a"}], "services": []},
        {"hosts": [{"name": "a"}], "services": [{"name": "s", "host": "b"}]},
        {"hosts": [{"name": "a"}], "services": [{"name": "s", "host": "a"}] * 2},
        {"hosts": [{"name": "a"}], "services": [], "engine": {"default_host": "b"}},
        {"hosts": [{"name": "a"}], "services": [], "engine": {"default_host": "a"}},
    ],
    ids=json.dumps,
)
def test_both_sides_see_the_same_disagreements(standing: Box, body: dict[str, Any]) -> None:
    """Names used twice, hosts that are not there."""
    given = {
        "hosts": body["hosts"],
        "services": body["services"],
        "defaultHost": body.get("engine", {}).get("default_host"),
    }
    ours = standing.ask("source", module="settings/agree", name="disagreements", args=[given])
    assert len(ours) == len(disagreements(body))


def shared(standing: Box, name: str) -> Any:
    return standing.ask("source", module="shared", name=name, args=[])


def test_places_are_the_apps(standing: Box) -> None:
    """Files of the data directory by the names that the app gives them."""
    data = DataDir(standing.data)
    assert shared(standing, "CONFIG") == data.config.name
    assert shared(standing, "DATABASE") == data.database.name
    assert shared(standing, "TMP") == data.tmp.name


def test_port_user_and_program_are_the_images(standing: Box) -> None:
    """What the Dockerfile says of itself."""
    text = (ROOT / "Dockerfile").read_text()
    owner = shared(standing, "OWNER")
    assert re.findall(r"^USER (.+)$", text, re.MULTILINE) == [f"{owner['uid']}:{owner['gid']}"]
    assert re.findall(r"^EXPOSE (.+)$", text, re.MULTILINE) == [str(shared(standing, "UI_PORT"))]
    assert f"SPARK_CONTROL_DATA={shared(standing, 'DATA')}\n" in text
    [entry] = re.findall(r"^ENTRYPOINT (.+)$", text, re.MULTILINE)
    assert json.loads(entry)[-1] == shared(standing, "PROGRAM")
    assert shared(standing, "IMAGE") in standing.ask("manifest")["images"]


def test_choices_are_worded_for_every_value(standing: Box) -> None:
    """A kind of service that is new gets its words in the form."""
    kinds = get_args(model.Service.model_fields["kind"].annotation)
    spec = standing.ask("form", id="configure-services")["spec"]["services"]["spec"]["spec"]
    assert sorted(spec["kind"]["values"]) == sorted(kinds)
