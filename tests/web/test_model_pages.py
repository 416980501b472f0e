"""The pages of the catalog without a browser: list and filter, one model, the form and its check,
a stale edit, removal, recipes; all of it with forms as a browser without JavaScript sends them."""

import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.base.bus import EventBus
from server.base.clock import SystemClock
from server.base.errors import InvalidValue, SparkError
from server.catalog.model import Model
from server.launch.plan import build_spec
from server.swap.model import Deployment, Serving
from server.web.pages.notice import NoticeBoard
from server.web.pages.routes import make_site, routes
from tests.swap.made import T0, engine
from tests.web.made import Web, web
from tests.web.test_model_checks import TINY, seen

ROOT = Path(__file__).resolve().parents[2]
HTML = "<script>alert(1)</script>\"'&"
HTMX = {"HX-Request": "true"}
MINE = {
    "id": "mine",
    "kind": "path",
    "path": "/srv/models/mine",
    "nodes": "1",
    "ttl": "0",
    "enabled": "yes",
}


def refusal(model: Model) -> SparkError | None:
    return InvalidValue("it wants two nodes") if model.id == "large" else None


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Web]:
    board = NoticeBoard(EventBus(), SystemClock())
    site = make_site(
        ROOT / "templates", tmp_path, notices=board, public_key="ssh-ed25519 A", refusal=refusal
    )
    async with web(tmp_path, pages=[routes(site)]) as made:
        await made.database.open()
        yield made


async def text_of(api: Web, path: str, status: int = 200) -> str:
    answer = await api.client.get(path)
    assert answer.status_code == status, answer.text
    return answer.text


async def post(api: Web, path: str, form: dict[str, Any], **headers: str) -> httpx.Response:
    return await api.client.post(path, data=form, headers=headers)


def shown(html: str) -> str:
    """What is to be read, without the tags."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def value(html: str, name: str) -> str:
    found = re.search(rf'name="{re.escape(name)}"[^>]*value="([^"]*)"', html)
    assert found, f"no field {name}"
    return unescape(found[1])


# ---- the list


async def test_the_list_tells_state_fit_files_and_why_a_model_cannot_be_started(api: Web) -> None:
    """One card for each, with its button where it may be pressed."""
    api.discovery.models = [TINY | {"host": "spark-2", "complete": False}]
    seen(api, s1=115, s2=115)
    page = await text_of(api, "/models")
    words = shown(page)
    assert "2 models" in words
    assert "Fits now" in words
    assert "Weights 8.0 GiB + KV cache 1.0 GiB + overhead" in words
    assert "spark-2 (9.0 GiB, incomplete)" in words
    assert "Cannot be started: it wants two nodes." in words
    assert page.count('action="/ui/swaps"') == 1


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("q=ACME+tiny", {"tiny"}),
        ("q=small", {"tiny"}),
        ("q=nothing", set()),
        ("state=refused", {"large"}),
        ("state=available", {"tiny"}),
        ("fit=now", {"tiny"}),
        ("fit=unknown", {"large"}),
        ("host=spark-1", {"tiny"}),
        ("host=spark-2", set()),
        ("standing=shipped", {"tiny", "large"}),
        ("standing=own", set()),
        ("q=acme&state=refused", set()),
    ],
)
async def test_the_filter_is_a_form_that_works_by_its_address(
    api: Web, query: str, expected: set[str]
) -> None:
    """All conditions together; the page and the fragment show the same rows."""
    api.discovery.models = [TINY | {"host": "spark-1"}]
    seen(api, s1=115, s2=115)
    for path in ("/models", "/ui/models/table"):
        page = await text_of(api, f"{path}?{query}")
        assert set(re.findall(r'id="row-([^"]+)"', page)) == expected


async def test_a_removed_shipped_model_can_be_brought_back(api: Web) -> None:
    """It is listed apart, with a button."""
    await api.client.delete("/api/v1/models/tiny")
    assert "1 shipped model was removed here" in shown(await text_of(api, "/models"))
    answer = await post(api, "/ui/models/tiny/reset", {})
    assert answer.headers["location"] == "/models/tiny?said=restored"
    assert "removed here" not in await text_of(api, "/models")


# ---- one model


async def test_the_page_of_a_model_tells_all_that_is_known(api: Web) -> None:
    """Settings, the exact command, who uses it, its swaps; an alias leads to the id."""
    await api.client.put("/api/v1/models/tiny/knobs", json={"max_model_len": 4096})
    words = shown(await text_of(api, "/models/tiny"))
    assert "vllm serve Acme/Tiny" in words
    assert "--max-model-len 4096" in words
    assert "changed here" in words
    assert "Nobody that is known" in words
    assert (await api.client.get("/models/small")).headers["location"] == "/models/tiny"
    await text_of(api, "/models/none", 404)


async def test_a_running_engine_that_was_told_something_else_is_said_to_differ(api: Web) -> None:
    """Only what it was told counts, not where it runs; a secret is not shown."""
    model = api.parts.catalog.snapshot().models["tiny"]
    running = build_spec(model, api.parts.settings.current)
    deployment = Deployment(running, engine("swap-1", "tiny"))
    api.swaps.served = Serving("tiny", ("tiny",), "http://x", T0, deployment)
    assert "It runs just as the entry says" in await text_of(api, "/models/tiny")
    knobs = {"max_model_len": 4096, "enforce_eager": True}
    await api.client.put("/api/v1/models/tiny/knobs", json=knobs)
    words = shown(await text_of(api, "/models/tiny"))
    assert "--max-model-len: would run with --max-model-len 4096" in words
    assert "--enforce-eager" in words
    assert "Served now" in words


async def test_who_uses_a_model_is_told_before_it_is_removed(api: Web) -> None:
    """Keys by name or alias, the settings of the gateway."""
    await api.client.post("/api/v1/keys", json={"name": "notes", "models": ["mine"]})
    await post(api, "/ui/models", MINE)
    words = shown(await text_of(api, "/models/mine"))
    assert "Key notes may ask for this model only" in words
    assert "Type mine to remove it" in words


async def test_a_model_is_removed_only_when_its_id_was_typed(api: Web) -> None:
    """A slip of the finger removes nothing; a shipped model has no such form."""
    await post(api, "/ui/models", MINE)
    refused = await post(api, "/ui/models/mine/remove", {"confirm": "min"})
    assert refused.status_code == 422
    assert "type mine to remove it" in refused.text
    removed = await post(api, "/ui/models/mine/remove", {"confirm": " mine "})
    assert (removed.status_code, removed.headers["location"]) == (303, "/models?said=removed")
    assert "/ui/models/tiny/remove" not in await text_of(api, "/models/tiny")
    await text_of(api, "/models/mine", 404)


async def test_a_model_is_disabled_and_enabled(api: Web) -> None:
    """It stays in the catalog and is not offered."""
    await post(api, "/ui/models/tiny/enabled", {"enabled": ""})
    assert api.parts.catalog.snapshot().models["tiny"].enabled is False
    assert "It is disabled in the catalog" in await text_of(api, "/models/tiny")
    answer = await post(api, "/ui/models/tiny/enabled", {"enabled": "yes"}, **HTMX)
    assert "tiny is enabled" in answer.text
    assert api.parts.catalog.snapshot().models["tiny"].enabled is True


async def test_a_preflight_is_asked_for_and_shown_in_words(api: Web) -> None:
    """A POST, since it asks the hosts; with and without JavaScript."""
    page = await post(api, "/ui/models/tiny/preflight", {})
    assert "would be refused" in page.text
    assert "does not fit" in page.text
    fragment = await post(api, "/ui/models/tiny/preflight", {}, **HTMX)
    assert fragment.headers["x-spark-fragment"] == "model/preflight"


# ---- the form


async def test_a_model_is_added_without_a_script(api: Web) -> None:
    """What is empty is not set."""
    form = MINE | {
        "name": "My tune",
        "knob.max_model_len": "8192",
        "knob.gpu_memory_utilization": "0.5",
        "knob.enable_prefix_caching": "off",
        "knob.dtype": "",
        "extra_args": "--enable-log-requests\n--max-lora-rank 8",
        "env": "VLLM_LOGGING_LEVEL=DEBUG\n\nA=b=c",
        "aliases": "me, tune",
        "variants": '{"high": {"reasoning_effort": "high"}}',
        "pinned": "yes",
    }
    answer = await post(api, "/ui/models", form)
    assert answer.headers["location"] == "/models/mine?said=added", answer.text
    model = api.parts.catalog.snapshot().models["mine"]
    assert model.source.path == "/srv/models/mine"
    assert dict(model.knobs) == {
        "max_model_len": 8192,
        "gpu_memory_utilization": 0.5,
        "enable_prefix_caching": False,
        "extra_args": ("--enable-log-requests", "--max-lora-rank", "8"),
    }
    assert dict(model.env) == {"VLLM_LOGGING_LEVEL": "DEBUG", "A": "b=c"}
    assert model.aliases == ("me", "tune")
    assert model.pinned is True
    assert model.variants["high"] == {"reasoning_effort": "high"}


async def test_every_fault_is_shown_at_its_field_and_nothing_typed_is_lost(api: Web) -> None:
    """Also what the form itself cannot read."""
    form = MINE | {
        "id": "my model",
        "path": "/etc/shadow",
        "knob.max_model_len": "a lot",
        "env": "no equals\nHF_TOKEN=hf_abcdefgh",
        "variants": "{",
        "description": HTML,
        "enabled": "",
    }
    answer = await post(api, "/ui/models", form)
    assert answer.status_code == 422
    page = answer.text
    for field in ("id", "path", "knob-max_model_len", "env", "variants"):
        assert f'id="f-{field}-error"' in page, field
    assert "line 1 is not NAME=value" in page
    assert "HF_TOKEN looks like a secret" in page
    assert value(page, "knob.max_model_len") == "a lot"
    assert value(page, "description") == HTML
    assert "<script>alert" not in page
    assert "mine" not in api.parts.catalog.snapshot().models


async def test_an_edit_starts_with_what_is_saved_and_saves_only_what_was_changed(api: Web) -> None:
    """Opened and sent again it changes nothing at all."""
    await post(api, "/ui/models", MINE | {"extra_args": "--max-lora-rank 8", "env": "A=1"})
    before = api.parts.catalog.snapshot().models["mine"]
    page = await text_of(api, "/models/mine/edit")
    sent = {name: value(page, name) for name in ("path", "nodes", "ttl", "version", "editing")}
    form = sent | {"kind": "path", "enabled": "yes", "env": "A=1"}
    form |= {"extra_args": "--max-lora-rank 8", "name": value(page, "name")}
    answer = await post(api, "/ui/models/mine/save", form)
    assert answer.headers["location"] == "/models/mine?said=saved"
    assert api.parts.catalog.snapshot().models["mine"] == before


async def test_a_stale_form_is_told_so_and_both_versions_are_shown(api: Web) -> None:
    """Nothing is lost and nothing is overwritten until it is sent again."""
    await post(api, "/ui/models", MINE)
    page = await text_of(api, "/models/mine/edit")
    version = value(page, "version")
    await api.client.put("/api/v1/models/mine/knobs", json={"max_model_len": 4096, "seed": 7})
    form = MINE | {"version": version, "knob.max_model_len": "8192", "name": "Mine anew"}
    answer = await post(api, "/ui/models/mine/save", form)
    assert answer.status_code == 409
    words = shown(answer.text)
    assert "This was changed meanwhile" in words
    assert "Saved now: 4096" in words
    assert "Saved now: 7" in words
    assert value(answer.text, "knob.max_model_len") == "8192"
    assert value(answer.text, "name") == "Mine anew"
    assert api.parts.catalog.snapshot().models["mine"].knobs["max_model_len"] == 4096
    again = await post(
        api, "/ui/models/mine/save", form | {"version": value(answer.text, "version")}
    )
    assert again.status_code == 303
    assert api.parts.catalog.snapshot().models["mine"].knobs["max_model_len"] == 8192


async def test_a_form_of_a_model_that_was_removed_meanwhile_loses_nothing(api: Web) -> None:
    """It is told so, and what was typed can be added anew."""
    form = MINE | {"id": "", "version": "old", "name": "Mine"}
    answer = await post(api, "/ui/models/gone/save", form)
    assert answer.status_code == 409
    assert "gone was removed meanwhile" in answer.text
    assert (value(answer.text, "id"), value(answer.text, "name")) == ("gone", "Mine")
    assert 'action="/ui/models"' in answer.text
    for path in ("/models/gone/edit", "/models/new?of=gone"):
        assert "no model" in await text_of(api, path, 404)


async def test_the_check_answers_while_one_types(api: Web) -> None:
    """Faults by the name of the field, or the command with what was typed; nothing is saved."""
    wrong = await post(api, "/ui/models/check", MINE | {"knob.seed": "-1"}, **HTMX)
    assert wrong.status_code == 200
    assert 'data-fault="knob.seed"' in wrong.text
    right = await post(api, "/ui/models/check", MINE | {"knob.seed": "7"}, **HTMX)
    assert "--seed 7" in shown(right.text)
    assert "Files: not found on any host" in shown(right.text)
    assert "data-fault=" not in right.text
    edited = await post(api, "/ui/models/check", MINE | {"editing": "tiny", "id": ""}, **HTMX)
    assert "--served-model-name tiny" in shown(edited.text)
    assert "mine" not in api.parts.catalog.snapshot().models


async def test_every_knob_of_the_schema_has_its_field_with_help_and_default(api: Web) -> None:
    """The form is made from the schema; no knob is forgotten."""
    page = await text_of(api, "/models/new")
    for knob in api.parts.catalog.knob_schema():
        name = "extra_args" if knob["type"] == "args" else f"knob.{knob['name']}"
        assert f'name="{name}"' in page
    assert "0.05 to 0.97" in page
    assert 'placeholder="0.9"' in page
    assert "default (on)" in page


async def test_a_copy_gets_a_name_that_is_free_and_no_aliases(api: Web) -> None:
    """All else is taken over."""
    page = await text_of(api, "/models/new?of=tiny")
    assert value(page, "id") == "tiny-2"
    assert value(page, "hf") == "Acme/Tiny"
    assert value(page, "aliases") == ""


async def test_what_the_hosts_have_is_offered_and_fills_the_form(api: Web) -> None:
    """Hugging Face and local paths; what is in the catalog already is not offered."""
    page = await text_of(api, "/models/new")
    assert "/srv/models/new" in page
    assert "Acme/Tiny" not in page
    page = await text_of(api, "/models/new?ref=/srv/models/new")
    assert (value(page, "id"), value(page, "path")) == ("new-model", "/srv/models/new")
    assert (await post(api, "/ui/models/rescan", {})).status_code == 303
    assert api.discovery.rescans == 1


async def test_ids_that_are_addresses_of_pages_are_refused(api: Web) -> None:
    """Such a model would have no page."""
    answer = await post(api, "/ui/models", MINE | {"id": "new"})
    assert answer.status_code == 422
    assert "address of a page" in answer.text


async def test_names_that_hold_html_are_inert_on_every_page(api: Web) -> None:
    """A title may hold any letters; they are only ever text."""
    body = {"id": "odd", "name": HTML, "description": HTML, "source": {"hf": "a/odd"}}
    assert (await api.client.post("/api/v1/models", json=body)).status_code == 201
    for path in ("/models", "/models/odd", "/models/odd/edit", "/models/new?of=odd"):
        page = await text_of(api, path)
        assert "<script>alert" not in page
        assert "&lt;script&gt;" in page


# ---- recipes


async def test_a_pasted_recipe_fills_the_form_and_tells_what_it_left_out(api: Web) -> None:
    """Nothing is saved before the form is sent."""
    text = "model: a/b\nmods: [x]\ndefaults: {max_model_len: 4096}\n"
    answer = await api.client.post("/ui/models/import", data={"text": text})
    assert answer.status_code == 200
    assert value(answer.text, "knob.max_model_len") == "4096"
    assert "Not taken over" in answer.text
    assert "patches of the launcher" in answer.text


async def test_a_recipe_file_is_read_and_a_hostile_one_is_refused(api: Web) -> None:
    """By its bytes: too large, not text, not YAML; what was pasted stays."""
    good = {"file": ("r.yaml", b"model: a/b\n", "application/yaml")}
    assert "a/b" in (await api.client.post("/ui/models/import", files=good)).text
    for data, words in (
        (b"\xff\xfe", "not UTF-8"),
        (b"x" * 70_000, "at most 64 KiB"),
        (b"a: [", "not YAML"),
        (b"model: &a [*a]\n", "no recipe|names none|is not|alias|at most"),
    ):
        files = {"file": ("r.yaml", data, "application/yaml")}
        answer = await api.client.post("/ui/models/import", files=files)
        assert re.search(words, answer.text), words
        assert answer.status_code in {200, 422}
    kept = await api.client.post("/ui/models/import", data={"text": "a: ["})
    assert kept.status_code == 422
    assert "a: [" in kept.text
