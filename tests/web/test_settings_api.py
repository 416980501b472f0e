"""`/api/v1/settings` and the services in it: the calls that the forms save by."""

from pathlib import Path

from tests.web.made import Web


async def test_a_section_tells_its_values_and_where_they_come_from(api: Web) -> None:
    """All of them, or one; lists have routes of their own."""
    listed = (await api.client.get("/api/v1/settings")).json()
    assert {"engine", "gateway", "audio"} <= {one["section"] for one in listed["sections"]}
    engine = (await api.client.get("/api/v1/settings/engine")).json()
    assert engine["values"]["model_roots"] == ["/srv/models"]
    assert engine["sources"]["model_roots"] == {"source": "file", "variable": None}
    assert engine["sources"]["port"] == {"source": "default", "variable": None}
    for wrong in ("hosts", "nothing"):
        assert (await api.client.get(f"/api/v1/settings/{wrong}")).status_code == 404


async def test_keys_of_a_section_are_changed_whole_or_not_at_all(api: Web, tmp_path: Path) -> None:
    """Every wrong key is named; a version that is not true any more is refused."""
    engine = (await api.client.get("/api/v1/settings/engine")).json()
    body = {"values": {"port": 8100}, "version": engine["version"]}
    saved = await api.client.put("/api/v1/settings/engine", json=body)
    assert saved.json()["values"]["port"] == 8100
    stale = await api.client.put("/api/v1/settings/engine", json=body)
    assert (stale.status_code, stale.json()["error"]["code"]) == (409, "conflict")
    before = (tmp_path / "config.yaml").read_text()
    values = {"port": 0, "max_models": "many", "nothing": 1}
    wrong = await api.client.put("/api/v1/settings/engine", json={"values": values})
    assert wrong.status_code == 422
    named = {one["param"] for one in wrong.json()["error"]["errors"]}
    assert named == {"engine.port", "engine.max_models", "engine.nothing"}
    assert (tmp_path / "config.yaml").read_text() == before


async def test_services_are_added_replaced_and_removed(api: Web) -> None:
    """As hosts are."""
    body = {"name": "q", "kind": "qdrant", "host": "spark-1", "port": 6333}
    added = await api.client.post("/api/v1/services", json=body)
    assert (added.status_code, added.headers["location"]) == (201, "/api/v1/services/q")
    changed = await api.client.put("/api/v1/services/q", json=body | {"port": 6334})
    assert changed.json()["port"] == 6334
    astray = await api.client.put("/api/v1/services/q", json=body | {"host": "nobody"})
    assert astray.status_code == 422
    assert (await api.client.delete("/api/v1/services/q")).status_code == 204
    assert (await api.client.get("/api/v1/services/q")).status_code == 404
