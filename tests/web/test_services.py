"""Services over HTTP: what is known of one, and telling it to start, stop or restart."""

from dataclasses import replace

import pytest

from server.gateway.admission.model import PoolNow, Snapshot, UpstreamNow
from server.web.api.views import load_of
from tests.web.made import Web


@pytest.mark.parametrize("verb", ["start", "stop", "restart"])
async def test_a_service_is_told_and_says_so(api: Web, verb: str) -> None:
    """202 with the service; its act stays in sight."""
    got = await api.client.post(f"/api/v1/services/parakeet/{verb}")
    assert got.status_code == 202
    assert got.headers["location"] == "/api/v1/services/parakeet"
    told = (await api.client.get("/api/v1/services/parakeet")).json()["act"]
    assert (told["verb"], told["container"], told["ended_at"]) == (verb, "parakeet-asr", None)
    assert told["requested_by"] == "api 127.0.0.1"


async def test_what_cannot_be_told_anything_says_why(api: Web) -> None:
    """No container, no such service, and never by a GET or from another site."""
    assert (await api.client.post("/api/v1/services/kokoro/restart")).status_code == 409
    assert (await api.client.post("/api/v1/services/none/restart")).status_code == 404
    assert (await api.client.get("/api/v1/services/parakeet/restart")).status_code == 405
    foreign = {"sec-fetch-site": "cross-site", "origin": "http://evil.example"}
    got = await api.client.post("/api/v1/services/parakeet/restart", headers=foreign)
    assert got.status_code == 403
    assert (await api.client.get("/api/v1/services/parakeet")).json()["act"] is None


def test_what_it_does_and_who_waits_is_what_the_admission_says() -> None:
    """A queue of the kind counts for each that may serve it; what is not known is null."""
    here = UpstreamNow("a", "asr", "spark-2", 2, 2, "closed", 0, None, False, "full")
    pools = (
        PoolNow("service:a", 1, 0.5, False, ("a",), None, None),
        PoolNow("kind:asr", 3, 0.5, False, ("a", "b"), None, None),
        PoolNow("kind:tts", 9, 0.5, False, ("c",), None, None),
    )
    snapshot = Snapshot(pools, (here, replace(here, name="c")), {})
    assert load_of(snapshot, "a") == {"in_flight": 2, "waiting": 4}
    assert load_of(Snapshot((), (), {}), "a") == {"in_flight": None, "waiting": None}
