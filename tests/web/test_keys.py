"""`/api/v1/keys` and `/api/v1/usage`: a secret is told once, and everything else any time."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from server.gateway.model import Caller, Passage, Used
from server.gateway.usage.service import Usage
from tests.web.made import Web, web

KEYS = "/api/v1/keys"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Web]:
    async with web(tmp_path) as made:
        await made.database.open()
        yield made


async def test_a_key_is_made_shown_once_changed_rotated_and_revoked(api: Web) -> None:
    """The whole life of it."""
    body = {"name": "laptop", "models": ["tiny"], "limits": {"requests_per_minute": 60}}
    made = await api.client.post(KEYS, json=body)
    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    key = made.json()
    assert key["key"].startswith(f"sk-spark-{key['id']}-")
    assert made.headers["location"] == f"{KEYS}/{key['id']}"

    secret = key.pop("key").rpartition("-")[2]
    for place in (f"{KEYS}/laptop", f"{KEYS}/{key['id']}"):
        assert (await api.client.get(place)).json() == key
    listed = await api.client.get(KEYS)
    assert listed.json() == {"keys": [key]}
    assert secret not in listed.text

    changed = await api.client.put(f"{KEYS}/laptop", json={"priority": 5})
    assert changed.json() == key | {
        "priority": 5,
        "models": [],
        "limits": dict.fromkeys(key["limits"]),
    }
    rotated = await api.client.post(f"{KEYS}/laptop/rotate")
    assert rotated.headers["cache-control"] == "no-store"
    assert rotated.json()["key"].rpartition("-")[2] != secret

    assert (await api.client.delete(f"{KEYS}/laptop")).status_code == 204
    gone = (await api.client.get(f"{KEYS}/laptop")).json()
    assert (gone["state"], gone["revoked_at"] is None) == ("revoked", False)
    refused = await api.client.post(f"{KEYS}/laptop/rotate")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conflict")
    assert (await api.client.get(f"{KEYS}/nobody")).status_code == 404


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"),
        ({"name": " x"}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"name": "x", "scopes": []}, "scopes"),
        ({"name": "x", "scopes": ["root"]}, "scopes.0"),
        ({"name": "x", "models": ["a b"]}, "models.0"),
        ({"name": "x", "priority": True}, "priority"),
        ({"name": "x", "priority": 101}, "priority"),
        ({"name": "x", "max_in_flight": 0}, "max_in_flight"),
        ({"name": "x", "swap": "sometimes"}, "swap"),
        ({"name": "x", "limits": {"requests_per_minute": 0}}, "limits.requests_per_minute"),
        ({"name": "x", "limits": {"tokens_per_hour": 5}}, "limits.tokens_per_hour"),
        ({"name": "x", "expires_at": "2026-01-01T00:00:00"}, "expires_at"),
        ({"name": "x", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "x", "key": "sk-spark-mine"}, "key"),
    ],
)
async def test_a_wrong_field_is_named(api: Web, body: dict[str, object], param: str) -> None:
    """422 before anything is made."""
    answer = await api.client.post(KEYS, json=body)
    assert answer.status_code == 422
    assert answer.json()["error"]["param"] == param
    assert (await api.client.get(KEYS)).json() == {"keys": []}


async def test_an_end_is_kept_in_utc(api: Web) -> None:
    """Whatever the offset it was told in; a key that has ended may still be changed."""
    end = datetime(2100, 1, 1, tzinfo=UTC)
    told = (end + timedelta(hours=2)).replace(tzinfo=None).isoformat() + "+02:00"
    made = await api.client.post(KEYS, json={"name": "x", "expires_at": told})
    assert made.json()["expires_at"] == "2100-01-01T00:00:00.000Z"
    again = await api.client.put(f"{KEYS}/x", json={"expires_at": told, "priority": 1})
    assert again.json()["expires_at"] == made.json()["expires_at"]


async def test_a_name_is_taken_only_once(api: Web) -> None:
    """409, with the field."""
    await api.client.post(KEYS, json={"name": "x"})
    answer = await api.client.post(KEYS, json={"name": "x"})
    assert answer.status_code == 409
    assert answer.json()["error"]["param"] == "name"


async def test_a_disk_that_fails_is_told_and_no_key_is_given(api: Web) -> None:
    """A key that was not saved would be dead at the next start."""
    await api.database.close()
    answer = await api.client.post(KEYS, json={"name": "x"})
    assert answer.status_code == 503
    assert "sk-spark" not in answer.text
    await api.database.open()
    assert (await api.client.get(KEYS)).json() == {"keys": []}


async def test_usage_is_told_by_key_model_and_day(api: Web) -> None:
    """Keys by name, also revoked ones; nobody's requests are anonymous."""
    key = (await api.client.post(KEYS, json={"name": "laptop"})).json()
    await api.client.delete(f"{KEYS}/laptop")
    usage = api.parts.usage
    assert isinstance(usage, Usage)
    for caller in (
        Caller("laptop", key_id=key["id"]),
        Caller("laptop", key_id=key["id"]),
        Caller(""),
    ):
        now = api.parts.clock.now()
        usage(Passage("r", now, 0.0, "/v1/x", caller, model="tiny", status=200, used=Used(3, 4)))
    answer = (await api.client.get("/api/v1/usage")).json()
    assert (answer["days"], answer["by"]) == (30, "key")
    assert [(row["key"], row["key_id"], row["requests"]) for row in answer["rows"]] == [
        ("laptop", key["id"], 2),
        ("anonymous", None, 1),
    ]
    assert answer["total"]["completion_tokens"] == 12
    for by, name in (("model", "tiny"), ("route", "/v1/x"), ("day", now.date().isoformat())):
        rows = (await api.client.get(f"/api/v1/usage?days=1&by={by}")).json()["rows"]
        assert [(row[by], row["requests"], row["prompt_tokens"]) for row in rows] == [(name, 3, 9)]
    for query in ("days=0", "days=401", "by=person"):
        assert (await api.client.get(f"/api/v1/usage?{query}")).status_code == 422
