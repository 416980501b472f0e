"""`/api/v1/models`, `/discovery` and `/swaps`."""

from server.base.errors import InsufficientStorage
from server.swap.model import State
from tests.gateway.made import serving
from tests.swap.made import record
from tests.web.made import Web

NEW = {"id": "mine", "name": "Mine", "source": {"path": "/srv/models/mine"}}


async def test_models_are_listed_with_their_state(api: Web) -> None:
    """The catalog, and what is being served of it."""
    api.swaps.served = serving("tiny")
    api.swaps.running = record().with_(model="large", state=State.LOADING)
    got = (await api.client.get("/api/v1/models")).json()
    assert {one["id"]: one["state"] for one in got["models"]} == {
        "tiny": "serving",
        "large": "loading",
    }
    assert got["problems"] == []


async def test_a_model_is_added_changed_and_removed_and_told(api: Web) -> None:
    """Each change is an event of its own."""
    with api.parts.bus.subscribe(frozenset({"model"})) as events:
        added = await api.client.post("/api/v1/models", json=NEW)
        assert added.status_code == 201, added.text
        assert added.headers["location"] == "/api/v1/models/mine"
        assert (await anext(events)).data["id"] == "mine"
        knobs = {"max_model_len": 4096}
        changed = await api.client.put("/api/v1/models/mine/knobs", json=knobs)
        assert changed.json()["knobs"] == knobs
        again = await api.client.put("/api/v1/models/mine", json=NEW | {"name": "Other"})
        assert again.json()["name"] == "Other"
        assert (await api.client.delete("/api/v1/models/mine")).status_code == 204
        assert (await anext(events)).data["removed"] is True
    assert (await api.client.get("/api/v1/models/mine")).status_code == 404


async def test_a_model_is_found_by_its_alias(api: Web) -> None:
    """As everywhere."""
    assert (await api.client.get("/api/v1/models/small")).json()["id"] == "tiny"
    got = await api.client.get("/api/v1/models/nothing")
    assert got.json()["error"]["code"] == "model_not_found"


async def test_a_wrong_model_names_its_field(api: Web) -> None:
    """422 from the catalog, in the one shape."""
    got = await api.client.post("/api/v1/models", json=NEW | {"source": {"path": "/etc/x"}})
    assert got.status_code == 422
    assert got.json()["error"]["code"] == "invalid_request"
    got = await api.client.post("/api/v1/models", json=[1])
    assert got.status_code == 422


async def test_a_full_disk_is_told_as_such(api: Web, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """507, never an opaque 500."""

    async def full(_body: object) -> None:
        raise InsufficientStorage("The disk of the data directory is full.")

    monkeypatch.setattr(api.parts.catalog, "add", full)
    got = await api.client.post("/api/v1/models", json=NEW)
    assert got.status_code == 507
    assert got.json()["error"]["code"] == "insufficient_storage"


async def test_the_command_is_shown_redacted(api: Web) -> None:
    """Only the line for the screen leaves; the real argv does not."""
    got = await api.client.get("/api/v1/models/tiny/command")
    assert got.json()["commands"][0]["command"] == "docker run -e HF_TOKEN=[redacted]"
    assert "hf_secret" not in got.text


async def test_preflight_tells_whether_it_would_be_tried(api: Web) -> None:
    """An error among the findings is a no."""
    got = (await api.client.post("/api/v1/models/small/preflight")).json()
    assert got["ok"] is False
    assert got["model"] == "tiny"


async def test_discovery_shows_what_the_catalog_has_not(api: Web) -> None:
    """From memory; a scan is asked for, not waited for."""
    got = (await api.client.get("/api/v1/discovery")).json()
    assert [one["source"] for one in got["models"]] == [{"path": "/srv/models/new"}]
    assert api.discovery.rescans == 0
    assert (await api.client.post("/api/v1/discovery")).status_code == 202
    assert api.discovery.rescans == 1


async def test_the_knobs_are_described(api: Web) -> None:
    """For forms and for people."""
    knobs = (await api.client.get("/api/v1/knobs")).json()["knobs"]
    assert "max_model_len" in [knob["name"] for knob in knobs]


async def test_a_swap_is_accepted_and_can_be_followed(api: Web) -> None:
    """202 with its place; who asked is remembered."""
    got = await api.client.post(
        "/api/v1/swaps",
        json={"model": "tiny", "on_conflict": "replace", "force": True},
        headers={"user-agent": "spark-control/1"},
    )
    assert got.status_code == 202
    place = got.headers["location"]
    assert (await api.client.get(place)).json()["id"] == got.json()["id"]
    assert api.swaps.asked == [("tiny", "replace", True, "cli 127.0.0.1")]
    assert (await api.client.get("/api/v1/swaps?limit=1")).json()["swaps"] == [got.json()]
    cancelled = await api.client.post(place + "/cancel")
    assert cancelled.status_code == 202
    assert cancelled.json()["cancelled_by"] == "api 127.0.0.1"
    api.swaps.lines = ("loading",)
    assert (await api.client.get(place + "/log")).json()["lines"] == ["loading"]


async def test_unload_is_a_swap_to_nothing(api: Web) -> None:
    """With or without an empty body."""
    for options in ({}, {"json": {}}):
        got = await api.client.post("/api/v1/unload", **options)
        assert got.status_code == 202
        assert got.json()["model"] is None


async def test_one_of_several_models_is_unloaded_by_its_name(api: Web) -> None:
    assert (await api.client.post("/api/v1/unload", json={"model": "tiny"})).status_code == 202
    assert api.swaps.asked[-1] == ("unload", "tiny")
    wrong = await api.client.post("/api/v1/unload", json={"models": ["tiny"]})
    assert wrong.status_code == 422


async def test_all_that_is_served_is_told_and_the_newest_by_itself(api: Web) -> None:
    api.swaps.older, api.swaps.served = (serving("tiny"),), serving("large")
    current = (await api.client.get("/api/v1/swaps/current")).json()
    assert [one["model"] for one in current["layout"]] == ["tiny", "large"]
    assert current["serving"]["model"] == "large"
    models = (await api.client.get("/api/v1/models")).json()["models"]
    assert {one["id"]: one["state"] for one in models} == {"tiny": "serving", "large": "serving"}
    metrics = (await api.client.get("/metrics")).text
    assert 'spark_serving{model="tiny"} 1.0' in metrics


async def test_the_current_swap_is_null_when_none_runs(api: Web) -> None:
    """The fields of a swap are there either way, and so is what is served."""
    idle = (await api.client.get("/api/v1/swaps/current")).json()
    assert idle["id"] is None
    assert idle["state"] is None
    assert idle["serving"] is None
    api.swaps.running = record()
    running = (await api.client.get("/api/v1/swaps/current")).json()
    assert running["id"] == "swap-1"
    assert set(running) == set(idle)


async def test_a_wrong_swap_names_its_fields(api: Web) -> None:
    """Unknown choices and unknown fields are mistakes."""
    body = {"on_conflict": "fight", "extra": 1}
    error = (await api.client.post("/api/v1/swaps", json=body)).json()["error"]
    assert [one["param"] for one in error["errors"]] == ["model", "on_conflict", "extra"]
    assert (await api.client.get("/api/v1/swaps/swap-99")).status_code == 404
