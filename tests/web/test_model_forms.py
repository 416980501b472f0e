"""What the pages of models decide by themselves: form <-> entry, the generated fields, commands in
lines, the difference against what runs, who uses a model, what an engine holds."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.base.health import Verdict
from server.base.units import GIB
from server.catalog.changes import read_entry
from server.catalog.entry import assemble
from server.catalog.knobs import KNOBS
from server.catalog.model import Model, Source
from server.config.model import Host, Service, Settings
from server.fleet.model import Container, Gpu, GpuProcess, HostStatus, Memory
from server.gateway.keys.model import Draft, Key
from server.gateway.usage.model import ANONYMOUS, Place, Sums
from server.swap.model import Serving
from server.web.checking import Check
from server.web.fitting import spot
from server.web.pages.models.drift import drift, flags
from server.web.pages.models.editing import check_view, errors_of, folded
from server.web.pages.models.knobs import field, groups
from server.web.pages.models.typed import at_field, body_of, values_of
from server.web.pages.models.uses import uses
from tests.swap.made import T0, deployment, spec
from tests.web.test_model_checks import sample

ROOTS = ("/srv/models",)
MODEL = Model("m", "M", Source(hf="a/m"), aliases=("em",))


def made(body: dict[str, Any]) -> Model | None:
    fields, problems = read_entry(body, ROOTS)
    return None if problems else assemble(fields, "override", {})[0]


# ---- form and entry


def knob_values() -> st.SearchStrategy[dict[str, Any]]:
    """Any knobs that hold, but those that depend on others."""
    alone = [
        knob
        for knob in KNOBS.values()
        if knob.type != "args"
        and knob.name not in {"tensor_parallel_size", "pipeline_parallel_size"}
        and knob.name != "enable_auto_tool_choice"
    ]

    def values(name: str) -> st.SearchStrategy[Any]:
        knob = KNOBS[name]
        if knob.type == "bool":
            return st.booleans()
        if knob.type == "int":
            return st.integers(int(knob.minimum or 0), int(knob.maximum or 0))
        if knob.type == "float":
            return st.integers(5, 90).map(lambda one: one / 100)
        if knob.type == "json":
            return st.just('{"a":1}')
        return st.sampled_from(knob.choices or knob.suggestions)

    return st.fixed_dictionaries({}, optional={knob.name: values(knob.name) for knob in alone})


@settings(max_examples=150)
@given(
    knobs=knob_values(),
    env=st.dictionaries(st.sampled_from(["A", "B_1"]), st.sampled_from(["1", "x=y", "a b"])),
    local=st.booleans(),
    flags_=st.sampled_from([(), ("--enable-log-requests",), ("--max-lora-rank", "8")]),
    variants=st.sampled_from([{}, {"high": {"reasoning_effort": "high", "n": [1, {"a": None}]}}]),
    plain=st.fixed_dictionaries(
        {},
        optional={
            "name": st.sampled_from(["A name", "<b>Ünï</b>"]),
            "aliases": st.just(["x", "y/z"]),
            "hosts": st.just(["spark-1", "spark-2"]),
            "ttl": st.integers(0, 1000),
            "pinned": st.booleans(),
            "enabled": st.booleans(),
            "swap": st.sampled_from(["auto", "ask", "never"]),
            "launcher": st.sampled_from(["docker", "bare"]),
            "image": st.just("ghcr.io/a/b:c"),
        },
    ),
)
def test_a_form_that_is_opened_and_sent_again_changes_nothing(  # noqa: PLR0917
    knobs, env, local, flags_, variants, plain
) -> None:
    """Whatever the entry holds: no value is lost or changed on its way through the form."""
    source = {"path": "/srv/models/x"} if local else {"hf": "org/x", "revision": "v1"}
    body = {"id": "m", "source": source, "knobs": dict(knobs), "env": env, "variants": variants}
    if flags_:
        body["knobs"]["extra_args"] = list(flags_)
    model = made(body | plain)
    assert model is not None
    sent = {name: value for name, value in values_of(model).items() if value}
    again, wrong = body_of(sent)
    assert wrong == []
    assert made(again) == model


@settings(max_examples=150)
@given(st.dictionaries(st.sampled_from(["id", "env", "variants", "nodes", "ttl", "extra_args",
    "knob.max_model_len", "knob.hf_overrides", "knob.enforce_eager", "hosts"]),
    st.text(max_size=60)))  # fmt: skip
def test_whatever_is_typed_is_an_entry_or_a_list_of_faults(given_: dict[str, str]) -> None:
    """Never an error of ours, and every fault has words."""
    body, wrong = body_of(given_)
    _, problems = read_entry(body, ROOTS)
    view = check_view(Check(tuple((one.field, one.message) for one in problems)), wrong)
    errors, elsewhere = errors_of(view)
    assert bool(view.faults) == bool(errors or elsewhere)
    assert all(fault.message for fault in view.faults)


@pytest.mark.parametrize(
    ("param", "name"),
    [
        ("id", "id"),
        ("source", "hf"),
        ("source.path", "path"),
        ("knobs.max_model_len", "knob.max_model_len"),
        ("knobs.extra_args", "extra_args"),
        ("env.A", "env"),
        ("aliases.3", "aliases"),
        ("variants.high.x", "variants"),
        ("knobs.nonsense", ""),
        ("", ""),
    ],
)
def test_a_fault_of_the_entry_is_shown_at_its_field(param: str, name: str) -> None:
    """What no field is to blame for is told above the form."""
    assert at_field(param) == name


# ---- the generated fields


def test_a_new_knob_in_the_schema_is_a_field_with_nothing_to_do() -> None:
    """Bounds in words, the default as a placeholder, and the whole list of answers."""
    knob = {
        "name": "shiny",
        "flag": "--shiny",
        "type": "int",
        "group": "novel",
        "help": "Shines.",
        "minimum": 1,
        "maximum": 20000,
        "choices": [],
        "suggestions": [],
        "default": "7",
    }
    (group,) = groups([knob], {"knob.shiny": "9"}, [])
    assert (group.title, group.set) == ("Novel", 1)
    assert group.fields[0].help == "Shines. 1 to 20,000."
    assert group.fields[0].placeholder == "7"
    switch = field(knob | {"type": "bool", "default": "on", "minimum": None, "maximum": None})
    assert switch.choices == (("", "default (on)"), ("on", "on"), ("off", "off"))
    choice = field(knob | {"type": "str", "choices": ["a"], "minimum": None, "maximum": None})
    assert choice.choices == (("", "default (7)"), ("a", "a"))


# ---- commands


@settings(max_examples=200)
@given(
    st.lists(st.sampled_from(["--flag", "a b", "it's", "--x=' --y'", "vllm", "serve", '"', "~/x"]))
)
def test_a_command_in_lines_is_the_same_command(words: Sequence[str]) -> None:
    """Taken together again it is what it was, whatever is quoted in it."""
    command = shlex.join(["docker", "run", "vllm", "image", "serve", *words])
    assert folded(command).replace(" \\\n  ", " ") == command
    joined = folded(command).replace("\\\n", "")
    assert shlex.split(joined) == shlex.split(command)


def test_the_flags_of_vllm_have_a_line_each() -> None:
    """The launcher's own words before them stay together."""
    command = "docker run -d --name x --entrypoint vllm image serve a/b --port 8000 --seed 1"
    assert folded(command).splitlines() == [
        "docker run -d --name x --entrypoint \\",
        "  vllm image serve a/b \\",
        "  --port 8000 \\",
        "  --seed 1",
    ]


# ---- what would change


def test_only_what_an_engine_is_told_is_a_difference() -> None:
    """Not where it runs: a swap decides that anew each time."""
    wanted = spec("m")
    elsewhere = replace(
        wanted, container="other-1", port=8001, nodes=(replace(wanted.head, host="spark-2"),)
    )
    assert drift(elsewhere, wanted) == ()


def test_added_removed_and_changed_words_are_told_apart_and_secrets_hidden() -> None:
    """By flag; a token never shows."""
    base = replace(spec("m"), argv=("vllm", "serve", "a/m", "--port", "8000", "--seed", "1"))
    now = replace(base, argv=("vllm", "serve", "a/m", "--port", "8000", "--dtype", "auto"))
    now = replace(now, env=(("HF_TOKEN", "hf_Abcdefgh1234"),), image="newer")
    found = {change.what: (change.kind, change.runs, change.wanted) for change in drift(base, now)}
    assert found["--seed"] == ("removed", "--seed 1", "")
    assert found["--dtype"] == ("added", "", "--dtype auto")
    assert found["image"][0] == "changed"
    assert "hf_Abcdefgh1234" not in json.dumps(found)


def test_flags_are_read_with_their_values() -> None:
    """Several values, none, and with an equals sign."""
    argv = ("vllm", "serve", "a", "--names", "x", "y", "--switch", "--level=3")
    assert flags(argv) == {
        "--names": "--names x y",
        "--switch": "--switch",
        "--level": "--level 3",
    }


# ---- who uses it


def key(name: str, *models: str, **fields: Any) -> Key:
    return Key(f"id-{name}", Draft(name, models=models, **fields), "digest", T0)


def test_who_uses_a_model_is_found_by_id_and_alias() -> None:
    """Settings, keys that name it, requests of the last days; keys that are over do not count."""
    service = {"name": "other", "kind": "llm", "host": "h", "port": 1, "models": ["em"]}
    config = Settings(
        hosts=(Host(name="h", address="192.0.2.1"),),
        services=(Service.model_validate(service),),
        gateway={"default_model": "em", "bridge": "m"},  # type: ignore[arg-type]
    )
    keys = [
        key("one", "m"),
        key("two", "em", "x"),
        key("three", "x"),
        key("over", "m", expires_at=T0 - timedelta(days=1)),
        key("free"),
    ]
    usage = {
        Place("2026-11-21", "id-one", "m", "chat"): Sums(requests=3, prompt_tokens=10),
        Place("2026-11-20", ANONYMOUS, "m", "chat"): Sums(requests=9),
        Place("2026-11-20", "id-one", "x", "chat"): Sums(requests=99),
    }
    found = uses(
        replace(MODEL, pinned=True),
        settings=config,
        keys=keys,
        layout=[Serving("m", ("m",), "http://x", T0, deployment("m"))],
        swaps=[],
        usage=usage,
        now=T0,
    )
    told = {use.who: use.what for use in found}
    assert set(told) == {
        *("Served now", "Pinned", "gateway.default_model", "gateway.bridge", "Service other"),
        *("Key one", "Key two", "1 key", "one", "anonymous"),
    }
    assert told["Key one"] == "may ask for this model only"
    assert told["one"].startswith("3 requests, 10 tokens")


def test_nobody_uses_a_model_that_is_not_named_anywhere() -> None:
    """Empty is empty."""
    none: dict[Place, Sums] = {}
    found = uses(MODEL, settings=Settings(), keys=[], layout=[], swaps=[], usage=none, now=T0)
    assert found == ()


# ---- what an engine holds


def serving(name: str, ident: str, container: str) -> Serving:
    made_ = deployment(name)
    there = replace(made_.spec, container=container)
    one = replace(made_.engine, ident=ident)
    return Serving(name, (name,), "http://x", T0, replace(made_, spec=there, engine=one))


def seen(*processes: GpuProcess) -> HostStatus:
    one = replace(
        sample("spark-1", 10 * GIB),
        gpus=(Gpu(processes=processes),),
        memory=Memory(total=120 * GIB, available=10 * GIB),
        containers=(
            Container("a" * 64, "engine", "i", "running", "Up"),
            Container("b" * 64, "engine-1", "i", "running", "Up"),
        ),
    )
    return HostStatus("spark-1", Verdict.up(), one, T0)


def test_what_two_engines_hold_is_told_by_their_containers() -> None:
    """A process of no container is nobody's when there are two."""
    layout = [serving("x", "a" * 64, "engine"), serving("y", "b" * 64, "engine-1")]
    mine, other = GpuProcess(1, "v", 5, "a" * 64), GpuProcess(2, "w", 7, "c" * 64)
    stray = GpuProcess(3, "z", 9, None)
    assert spot(seen(mine, other, stray), layout, frozenset()).held == (("x", 5), ("y", None))
    assert spot(seen(mine, stray), layout[:1], frozenset()).held == (("x", 14),)
    assert spot(seen(mine), layout, frozenset({"x"})).held == (("y", None),)


def test_a_figure_that_was_not_told_is_not_counted_as_nothing() -> None:
    """Unknown stays unknown; and a host that is away tells nothing of now."""
    layout = [serving("x", "a" * 64, "engine")]
    told = seen(GpuProcess(1, "v", None, "a" * 64))
    assert spot(told, layout, frozenset()).held == (("x", None),)
    away = replace(told, verdict=Verdict.unknown("gone"))
    assert spot(away, layout, frozenset()).available is None
    assert spot(away, layout, frozenset()).total == 120 * GIB
