"""The settings without a browser: forms made from the schema, mistakes at their field, stale forms,
hosts whose key a person compares, keys shown once, hostile names."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.base.bus import EventBus
from server.base.clock import SystemClock
from server.base.errors import HostKeyChanged
from server.base.health import Verdict
from server.config.model import Host
from server.config.schema import field_at, group_of, keys_at
from server.fleet.model import HostStatus
from server.ssh.hostkeys import fingerprint
from server.ssh.model import Target
from server.web.api.settings import sections
from server.web.pages.notice import NoticeBoard
from server.web.pages.routes import make_site, routes
from server.web.pages.settings.fields import field_groups, read, shown
from server.web.pages.site import Site
from tests.gateway.made import serving
from tests.web.forms import form_of, words_of
from tests.web.made import CONFIG, OFFERED, Web, web

ROOT = Path(__file__).resolve().parents[2]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 spark-control"
HTMX = {"HX-Request": "true"}
HTML = "<script>alert(1)</script>"
SECTIONS = ["engine", "gateway", "anonymous", "audio", "fleet", "web", "log", "backup"]
ELSEWHERE = {"auth"}
"""Sections whose page is more than their form."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """One for all: the templates are compiled once."""
    folder = tmp_path_factory.mktemp("site")
    board = NoticeBoard(EventBus(), SystemClock())
    return make_site(
        ROOT / "templates", folder / "dist", notices=board, public_key=KEY, refusal=lambda _: None
    )


@pytest.fixture
async def pages(tmp_path: Path, site: Site) -> AsyncIterator[Web]:
    async with web(tmp_path, pages=[routes(site)]) as made:
        yield made


@pytest.fixture
async def empty(tmp_path: Path, site: Site) -> AsyncIterator[Web]:
    """Nothing configured yet."""
    async with web(tmp_path, config="", pages=[routes(site)]) as made:
        yield made


@pytest.fixture
async def keyed(pages: Web) -> Web:
    """With a database for keys."""
    await pages.database.open()
    await pages.parts.keys.start()  # type: ignore[attr-defined]
    return pages


async def looked(pages: Web) -> None:
    """The doctor has looked at every host."""
    for host in pages.parts.settings.current.hosts:
        await pages.parts.examining.examine(host)


# ---- sections


@pytest.mark.parametrize("section", SECTIONS)
async def test_a_section_saved_as_it_was_opened_changes_nothing(
    pages: Web, tmp_path: Path, section: str
) -> None:
    """Every field of the schema is there, and what nobody touched is not written."""
    before = (tmp_path / "config.yaml").read_text()
    action = f"/ui/settings/{section}"
    if section == "backup":  # its page wants a keeper of backups
        given = form_of((await pages.client.post(action, data={"every_hours": "x"})).text, action)
        given["every_hours"] = "24"
    else:
        given = form_of((await pages.client.get(f"/settings/{section}")).text, action)
    assert set(type(getattr(pages.parts.settings.current, section)).model_fields) <= set(given)
    saved = await pages.client.post(action, data=given)
    assert (saved.status_code, saved.headers["location"]) == (
        303,
        f"/settings/{section}?said=saved",
    )
    assert (tmp_path / "config.yaml").read_text() == before


def test_every_section_has_a_page() -> None:
    """A new one is not forgotten."""
    assert {*SECTIONS} | ELSEWHERE == {*sections()}


@pytest.mark.parametrize("section", [*SECTIONS, "hosts", "services"])
def test_every_key_has_one_field_with_a_name_of_its_own(section: str) -> None:
    """In the order of the page; what is described is told."""
    fields = [field for group in field_groups(section) for field in group.fields]
    assert sorted(field.name for field in fields) == sorted(keys_at((section,)))
    assert len({field.label for field in fields}) == len(fields)
    assert all(field.help for field in fields)


@pytest.mark.parametrize("section", [*SECTIONS, "hosts", "services"])
def test_what_a_form_shows_means_what_it_showed(section: str) -> None:
    """The defaults, as text and back, are the defaults."""
    group = group_of(field_at((section,)).annotation)  # type: ignore[union-attr]
    defaults = {
        key: field.default for key, field in group.model_fields.items() if not field.is_required()
    }
    meant = read(section, shown(section, defaults))
    assert {key: meant[key] for key in defaults} == {
        key: list(value) if isinstance(value, tuple) else value for key, value in defaults.items()
    }


async def test_what_was_changed_is_saved_and_every_comment_kept(pages: Web, tmp_path: Path) -> None:
    """Text, numbers, switches, lists and choices; an emptied field is its default again."""
    path = tmp_path / "config.yaml"
    path.write_text(
        CONFIG.replace("engine:", "engine:  # mine") + "gateway: {queue_limit: 5}  # few\n"
    )
    pages.parts.settings.refresh()  # type: ignore[attr-defined]
    for section, changes in {
        "engine": {
            "model_roots": "/srv/models\r\n/srv/more",
            "max_models": "2",
            "overlap": "never",
        },
        "gateway": {"auto_swap": "no", "queue_limit": "", "bridge": "tiny"},
    }.items():
        page = await pages.client.get(f"/settings/{section}")
        given = form_of(page.text, f"/ui/settings/{section}") | changes
        saved = await pages.client.post(f"/ui/settings/{section}", data=given)
        assert saved.status_code == 303, words_of(saved.text)
    settings = pages.parts.settings.current
    assert settings.engine.model_roots == ("/srv/models", "/srv/more")
    assert (settings.engine.max_models, settings.engine.overlap) == (2, "never")
    assert (settings.gateway.auto_swap, settings.gateway.queue_limit) == (False, 1000)
    assert settings.gateway.bridge == "tiny"
    text = path.read_text()
    assert "engine:  # mine" in text
    assert "# few" in text
    assert "port" not in text.split("engine:")[1].split("services:")[0]


async def test_each_mistake_stands_at_its_field_and_nothing_typed_is_lost(
    pages: Web, tmp_path: Path
) -> None:
    """Also what only the whole of the settings shows: a host that is not there."""
    before = (tmp_path / "config.yaml").read_text()
    page = await pages.client.get("/settings/engine")
    given = form_of(page.text, "/ui/settings/engine")
    given |= {
        "port": "99999",
        "image": "UPPER case",
        "max_models": "many",
        "default_host": "nobody",
    }
    refused = await pages.client.post("/ui/settings/engine", data=given, headers=HTMX)
    assert refused.status_code == 422
    told = words_of(refused.text)
    assert "Must be a whole number from 1 to 65535, not 99999" in told
    assert "Is not a valid image reference" in told
    assert "Must be a whole number from 1 to 16, not 'many'" in told
    assert "Names the host 'nobody', which is not under hosts" in told
    again = form_of(refused.text, "/ui/settings/engine")
    assert (again["port"], again["image"], again["max_models"]) == ("99999", "UPPER case", "many")
    assert 'aria-describedby="settings-engine-port-error settings-engine-port-help"' in refused.text
    assert (tmp_path / "config.yaml").read_text() == before


async def test_a_stale_form_is_told_and_loses_nothing(pages: Web, tmp_path: Path) -> None:
    """What was touched stays as typed, what others saved is taken over and shown beside; sending
    it again saves it."""
    page = await pages.client.get("/settings/engine")
    given = form_of(page.text, "/ui/settings/engine") | {"port": "8100"}
    await pages.parts.settings.save_section("engine", {"port": 8200, "image": "theirs"})
    stale = await pages.client.post("/ui/settings/engine", data=given)
    assert stale.status_code == 409
    told = words_of(stale.text)
    assert "changed meanwhile" in told
    assert "Saved now: 8200" in told
    again = form_of(stale.text, "/ui/settings/engine")
    assert (again["port"], again["image"]) == ("8100", "theirs")
    saved = await pages.client.post("/ui/settings/engine", data=again)
    assert saved.status_code == 303
    engine = pages.parts.settings.current.engine
    assert (engine.port, engine.image) == (8100, "theirs")


async def test_what_the_environment_sets_is_shown_and_cannot_be_changed(
    tmp_path: Path, site: Site
) -> None:
    """With the name of the variable; also a whole list."""
    environ = {"SPARK_CONTROL_ENGINE__PORT": "8123", "SPARK_CONTROL_SERVICES": "[]"}
    async with web(tmp_path, environ=environ, pages=[routes(site)]) as pages:
        page = await pages.client.get("/settings/engine")
        given = form_of(page.text, "/ui/settings/engine")
        assert "port" not in given
        assert "SPARK_CONTROL_ENGINE__PORT" in words_of(page.text)
        assert 'value="8123"' in page.text
        saved = await pages.client.post("/ui/settings/engine", data=given | {"image": "mine"})
        assert saved.status_code == 303
        forced = await pages.client.post("/ui/settings/engine", data={"port": "1"})
        assert forced.status_code == 409
        services = words_of((await pages.client.get("/settings/services")).text)
        assert "SPARK_CONTROL_SERVICES" in services
        assert "Add a service" not in services


async def test_a_disk_that_takes_nothing_is_told_at_the_form(pages: Web, tmp_path: Path) -> None:
    """A read-only data directory: 503, what was typed is still there."""
    page = await pages.client.get("/settings/gateway")
    given = form_of(page.text, "/ui/settings/gateway") | {"queue_limit": "7"}
    (tmp_path / "config.yaml.lock").mkdir()
    refused = await pages.client.post("/ui/settings/gateway", data=given)
    assert refused.status_code == 503
    assert "config.yaml could not be saved" in words_of(refused.text)
    assert form_of(refused.text, "/ui/settings/gateway")["queue_limit"] == "7"


async def test_a_file_that_was_broken_by_hand_is_its_authors_to_mend(
    pages: Web, tmp_path: Path
) -> None:
    """Each page that would save says so with the line, and a save writes nothing."""
    path = tmp_path / "config.yaml"
    page = await pages.client.get("/settings/gateway")
    path.write_text(broken := CONFIG + "gateway: {queue_limit: many}\n")
    pages.parts.settings.refresh()  # type: ignore[attr-defined]
    for place in ("gateway", "hosts", "hosts/spark-1", "services", "services/kokoro"):
        told = words_of((await pages.client.get(f"/settings/{place}")).text)
        assert "gateway.queue_limit: must be a whole number" in told
    given = form_of(page.text, "/ui/settings/gateway") | {"cache_mb": "5"}
    refused = await pages.client.post("/ui/settings/gateway", data=given)
    assert refused.status_code == 409
    assert path.read_text() == broken


async def test_settings_that_count_after_a_restart_say_so(pages: Web) -> None:
    """The others take effect at once."""
    assert "counts after a restart" in words_of((await pages.client.get("/settings/log")).text)
    assert "counts after a restart" not in words_of(
        (await pages.client.get("/settings/audio")).text
    )


# ---- hosts


NEW = "/ui/settings/hosts"


async def test_a_new_host_is_saved_when_a_person_has_trusted_its_key(pages: Web) -> None:
    """First the fingerprint is shown and nothing is saved; then it is pinned and the host there."""
    page = await pages.client.get("/settings/hosts/new")
    assert KEY in words_of(page.text)
    given = form_of(page.text, NEW) | {"name": "spark-3", "address": "192.0.2.13", "user": "me"}
    asked = await pages.client.post(NEW, data=given, headers=HTMX)
    shown = fingerprint(OFFERED["192.0.2.13"])
    assert shown in words_of(asked.text)
    assert "ssh-keygen -lf" in words_of(asked.text)
    assert pages.parts.settings.current.host("spark-3") is None
    trusted = form_of(asked.text, NEW) | {"trust": "yes"}
    saved = await pages.client.post(NEW, data=trusted)
    assert saved.headers["location"] == "/settings/hosts/spark-3?said=added"
    assert pages.parts.hostkeys.pinned(Target("spark-3", "192.0.2.13", 22, "me")) == shown
    assert pages.changed == ["spark-3"]
    await looked(pages)
    page = await pages.client.get("/settings/hosts/spark-3")
    assert "It answers." in words_of(page.text)


async def test_a_key_looked_at_elsewhere_is_not_trusted(pages: Web) -> None:
    """Whoever changes the address after the look is shown the other key first."""
    given = form_of((await pages.client.get("/settings/hosts/new")).text, NEW)
    given |= {"name": "spark-3", "address": "192.0.2.13"}
    asked = form_of((await pages.client.post(NEW, data=given)).text, NEW)
    other = await pages.client.post(NEW, data=asked | {"address": "192.0.2.12", "trust": "yes"})
    assert other.status_code == 200
    assert fingerprint(OFFERED["192.0.2.12"]) in words_of(other.text)
    assert pages.parts.settings.current.host("spark-3") is None


async def test_a_host_with_a_mistake_comes_back_with_it(pages: Web) -> None:
    """A wrong name, one that is taken, a machine that does not answer; it may be added blindly."""
    given = form_of((await pages.client.get("/settings/hosts/new")).text, NEW)
    wrong = await pages.client.post(NEW, data=given | {"name": "Spark 3", "address": ""})
    assert wrong.status_code == 422
    assert "Is not a valid name" in words_of(wrong.text)
    assert "Is missing" in words_of(wrong.text)
    taken = await pages.client.post(NEW, data=given | {"name": "spark-1", "address": "192.0.2.13"})
    assert (taken.status_code, "already" in words_of(taken.text)) == (409, True)
    away = given | {"name": "spark-3", "address": "192.0.2.99"}
    silent = await pages.client.post(NEW, data=away)
    assert silent.status_code == 503
    assert "192.0.2.99 did not answer. Is it on?" in words_of(silent.text)
    assert form_of(silent.text, NEW)["name"] == "spark-3"
    saved = await pages.client.post(NEW, data=away | {"anyway": "yes"})
    assert saved.status_code == 303
    assert pages.parts.settings.current.host("spark-3") is not None


async def test_a_host_is_changed_and_a_stale_form_is_told(pages: Web) -> None:
    """The address stays: nothing is asked of the machine."""
    action = f"{NEW}/spark-1"
    given = form_of((await pages.client.get("/settings/hosts/spark-1")).text, action)
    saved = await pages.client.post(action, data=given | {"labels": "llm, fast"})
    assert saved.headers["location"] == "/settings/hosts/spark-1?said=saved"
    assert pages.parts.settings.current.hosts[0].labels == ("llm", "fast")
    stale = await pages.client.post(action, data=given | {"user": "other"})
    assert stale.status_code == 409
    assert form_of(stale.text, action)["user"] == "other"
    assert form_of(stale.text, action)["labels"] == "llm\nfast"


async def test_a_changed_key_is_shown_with_both_fingerprints_and_replaced_on_purpose(
    pages: Web,
) -> None:
    """Another fingerprint than the one that was seen is refused."""
    target = Target("spark-1", "192.0.2.11", 22, "ubuntu")
    pages.parts.hostkeys.pin(target, OFFERED["192.0.2.11"])
    with pytest.raises(HostKeyChanged):
        pages.parts.hostkeys.check(target, OFFERED["192.0.2.12"])  # type: ignore[attr-defined]
    action = f"{NEW}/spark-1/accept-key"
    for path in ("/settings/hosts", "/settings/hosts/spark-1"):
        page = await pages.client.get(path)
        assert fingerprint(OFFERED["192.0.2.11"]) in words_of(page.text)
        assert fingerprint(OFFERED["192.0.2.12"]) in words_of(page.text)
    refused = await pages.client.post(action, data={"fingerprint": "SHA256:x"})
    assert refused.status_code == 409
    done = await pages.client.post(action, data=form_of(page.text, action))
    assert done.headers["location"] == "/settings/hosts/spark-1?said=accepted"
    assert pages.parts.hostkeys.pinned(target) == fingerprint(OFFERED["192.0.2.12"])


async def test_a_host_in_use_names_what_would_have_to_go(pages: Web) -> None:
    """What is served there, its services; a free one is removed after a question."""
    pages.swaps.served = serving("tiny")
    page = words_of((await pages.client.get("/settings/hosts/spark-1")).text)
    assert "tiny is served on it" in page
    blocked = await pages.client.post(f"{NEW}/spark-1/remove")
    assert blocked.status_code == 409
    pages.swaps.served = None
    page = await pages.client.get("/settings/hosts/spark-2")
    assert "the service parakeet runs on it" in words_of(page.text)
    assert f"{NEW}/spark-2/remove" not in page.text
    blocked = await pages.client.post(f"{NEW}/spark-2/remove")
    assert blocked.status_code == 409
    assert f"{NEW}/spark-1/remove" in (await pages.client.get("/settings/hosts/spark-1")).text
    gone = await pages.client.post(f"{NEW}/spark-1/remove")
    assert gone.headers["location"] == "/settings/hosts?said=removed"


async def test_the_doctor_runs_beside_the_page(pages: Web) -> None:
    """The press answers at once with a card that is drawn anew; a look at the page asks nobody."""
    before = words_of((await pages.client.get("/settings/hosts/spark-1")).text)
    assert "Not tested since the start" in before
    begun = await pages.client.post(f"{NEW}/spark-1/check", headers=HTMX)
    assert "Looking at spark-1" in words_of(begun.text)
    await looked(pages)
    card = words_of((await pages.client.get(f"{NEW}/spark-1/doctor")).text)
    assert "all is well" in card
    assert "It answers." in card
    await pages.parts.settings.replace_host("spark-1", Host(name="spark-1", address="192.0.2.77"))
    card = words_of((await pages.client.get(f"{NEW}/spark-1/doctor")).text)
    assert "Not tested since the start" in card


# ---- services and links


async def test_a_service_is_added_changed_and_removed(pages: Web) -> None:
    """With its links, a line each; the question before the removal names what ends."""
    new = "/ui/settings/services"
    given = form_of((await pages.client.get("/settings/services/new")).text, new)
    given |= {"name": "webui", "kind": "web", "host": "spark-1", "port": "3000"}
    wrong = await pages.client.post(new, data=given | {"links": "Chat ftp://x"})
    assert wrong.status_code == 422
    assert "web address" in words_of(wrong.text)
    added = await pages.client.post(new, data=given | {"links": "Open WebUI http://spark-1:3000"})
    assert added.status_code == 303, words_of(added.text)
    service = pages.parts.settings.current.services[-1]
    assert [(link.name, link.url) for link in service.links] == [
        ("Open WebUI", "http://spark-1:3000")
    ]
    page = await pages.client.get("/settings/services/parakeet")
    given = form_of(page.text, f"{new}/parakeet")
    many = await pages.client.post(f"{new}/parakeet", data=given | {"max_in_flight": "9"})
    assert many.status_code == 422
    assert "takes at most 3 at once" in words_of(many.text)
    saved = await pages.client.post(f"{new}/parakeet", data=given | {"max_in_flight": "3"})
    assert saved.headers["location"] == "/settings/services/parakeet?said=saved"
    assert "No service of the kind asr is left then" in words_of(page.text)
    gone = await pages.client.post(f"{new}/parakeet/remove")
    assert gone.headers["location"] == "/settings/services?said=removed"


async def test_links_are_a_line_each(pages: Web, tmp_path: Path) -> None:
    """Kept where they stand; a bad one is told with its line."""
    action = "/ui/settings/links"
    given = form_of((await pages.client.get("/settings/links")).text, action)
    lines = "Open WebUI http://spark-1:3000\nGrafana https://grafana.lan/d/1"
    saved = await pages.client.post(action, data=given | {"links": lines})
    assert saved.status_code == 303, words_of(saved.text)
    path = tmp_path / "config.yaml"
    path.write_text(path.read_text().replace("links:", "links:  # ours"))
    pages.parts.settings.refresh()  # type: ignore[attr-defined]
    given = form_of((await pages.client.get("/settings/links")).text, action)
    assert given["links"] == lines
    for text, told in (
        ("Grafana javascript:alert(1)", "Line 1 is not a web address"),
        ("A http://a\nA http://b", "Line 2 has a name that is there already"),
    ):
        wrong = await pages.client.post(action, data=given | {"links": text})
        assert told in words_of(wrong.text)
    await pages.client.post(action, data=given | {"links": "Grafana http://g"})
    assert [link.url for link in pages.parts.settings.current.links] == ["http://g"]
    assert "links:  # ours" in path.read_text()


# ---- keys


async def test_a_key_is_shown_once_edited_and_revoked(keyed: Web) -> None:
    """The text of it is in the answer that makes it and nowhere else; a mistake keeps the rest."""
    new = "/ui/settings/keys"
    page = await keyed.client.get("/settings/keys")
    assert "has no login now" in words_of(page.text)
    given = form_of((await keyed.client.get("/settings/keys/new")).text, new)
    assert given["scope_gateway"] == "yes"
    typed = given | {"name": "laptop", "requests_per_minute": "60", "models": "tiny\nlarge"}
    wrong = await keyed.client.post(new, data=typed | {"tokens_per_day": "lots", "expires_at": "x"})
    assert wrong.status_code == 422
    assert "use a whole number of at least 1" in words_of(wrong.text)
    assert form_of(wrong.text, new)["tokens_per_day"] == "lots"
    made = await keyed.client.post(new, data=typed)
    assert made.headers["cache-control"] == "no-store"
    text = next(word for word in words_of(made.text).split() if word.startswith("sk-spark-"))
    assert len(text) == 65
    key = keyed.parts.keys.get("laptop")
    for path in ("/settings/keys", f"/settings/keys/{key.id}"):
        page = await keyed.client.get(path)
        assert "laptop" in words_of(page.text)
        assert text not in page.text
    action = f"{new}/{key.id}"
    given = form_of(page.text, action)
    assert given["models"] == "tiny\nlarge"
    saved = await keyed.client.post(action, data=given | {"requests_per_minute": "30"})
    assert saved.headers["location"] == f"/settings/keys/{key.id}?said=saved"
    assert keyed.parts.keys.get("laptop").draft.limits.requests_per_minute == 30
    stale = await keyed.client.post(action, data=given | {"priority": "5"})
    assert stale.status_code == 409
    assert "Saved now: 30" in words_of(stale.text)
    turned = await keyed.client.post(f"{action}/rotate", headers=HTMX)
    assert "sk-spark-" in turned.text
    assert text not in turned.text
    gone = await keyed.client.post(f"{action}/revoke")
    assert gone.headers["location"] == "/settings/keys?said=revoked"
    assert keyed.parts.keys.get(key.id).revoked_at is not None


# ---- the rest


async def test_about_tells_of_the_program_and_its_disk(pages: Web) -> None:
    """Nothing of it asks a host."""
    about = words_of((await pages.client.get("/settings/about")).text)
    for word in ("Version", "Python 3.", "Free there", "SQLite", "Memory in use", "Style guide"):
        assert word in about


async def test_hostile_words_are_inert(pages: Web) -> None:
    """What a host says and what was typed is text."""
    pages.fleet.hosts["spark-1"] = HostStatus("spark-1", Verdict.down(HTML))
    assert HTML not in (await pages.client.get("/settings/hosts")).text
    for action in ("/ui/settings/hosts", "/ui/settings/services", "/ui/settings/keys"):
        refused = await pages.client.post(
            action, data={"name": HTML, "address": HTML, "port": HTML}
        )
        assert refused.status_code in {409, 422}
        assert HTML not in refused.text
        assert "&lt;script&gt;" in refused.text
    refused = await pages.client.post("/ui/settings/engine", data={"image": HTML})
    assert HTML not in refused.text


@pytest.mark.parametrize(
    "path", ["/settings/nothing", "/settings/hosts/nobody", "/settings/keys/x"]
)
async def test_what_is_not_there_is_not_found(pages: Web, path: str) -> None:
    """404, whatever is asked for."""
    assert (await pages.client.get(path)).status_code == 404
