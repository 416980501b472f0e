"""Every error of the JSON API has one shape, and every answer its request id and version."""

import httpx
import pytest
from fastapi import APIRouter

from tests.web.made import Web, web

HOST = {"name": "spark-3", "address": "192.0.2.13"}


def error_of(got: httpx.Response, status: int, code: str) -> dict[str, object]:
    assert got.status_code == status, got.text
    error: dict[str, object] = got.json()["error"]
    assert error["code"] == code
    assert set(error) >= {"message", "type", "code", "param", "request_id", "source"}
    assert error["request_id"] == got.headers["x-request-id"]
    assert got.headers["api-version"] == "1"
    return error


async def test_a_request_id_that_is_sane_is_kept(api: Web) -> None:
    """So that a caller finds its own requests in our log."""
    got = await api.client.get("/healthz", headers={"x-request-id": "run-7/step:2"})
    assert got.headers["x-request-id"] == "run-7/step:2"


@pytest.mark.parametrize("value", ["", "a b", "x" * 200, "a\tb", "<script>"])
async def test_a_request_id_that_is_not_sane_is_replaced(api: Web, value: str) -> None:
    """It would end up in log lines and headers."""
    got = await api.client.get("/healthz", headers={"x-request-id": value})
    assert got.headers["x-request-id"].startswith("req-")


async def test_unknown_paths_are_404_in_our_shape(api: Web) -> None:
    """Also below routes that exist."""
    for path in ("/api/v1/nothing", "/api/v1/hosts/spark-1/nothing", "/api/v2/hosts", "/x"):
        error_of(await api.client.get(path), 404, "not_found")


async def test_a_wrong_method_names_those_that_are_answered(api: Web) -> None:
    """`Allow` has all of them, not only those of the first route."""
    error_of(got := await api.client.patch("/api/v1/hosts", json={}), 405, "method_not_allowed")
    assert got.headers["allow"] == "GET, HEAD, POST, OPTIONS"
    got = await api.client.options("/api/v1/hosts/spark-1")
    assert got.status_code == 204
    assert got.headers["allow"] == "GET, HEAD, PUT, DELETE, OPTIONS"
    assert "access-control-allow-origin" not in got.headers


async def test_malformed_json_is_told_apart_from_wrong_fields(api: Web) -> None:
    """400 with the place, not a list of fields."""
    got = await api.client.post(
        "/api/v1/hosts", content=b'{"name": ', headers={"content-type": "application/json"}
    )
    assert "JSON" in str(error_of(got, 400, "invalid_request")["message"])


async def test_all_wrong_fields_are_named_at_once(api: Web) -> None:
    """`param` is the first one, `errors` has each."""
    body = {"name": "UPPER", "address": "a;b", "port": 0, "colour": "red"}
    error = error_of(await api.client.post("/api/v1/hosts", json=body), 422, "invalid_request")
    assert error["param"] == "name"
    params = [one["param"] for one in error["errors"]]  # type: ignore[attr-defined]
    assert params == ["name", "address", "port", "colour"]


async def test_a_wrong_query_is_named(api: Web) -> None:
    """422 with the parameter."""
    for path, param in (
        ("/api/v1/swaps?limit=0", "limit"),
        ("/api/v1/hosts/spark-1/samples?minutes=x", "minutes"),
        ("/api/v1/hosts/spark-1/logs?container=a%3Breboot", "container"),
        ("/api/v1/events?types=swap,nothing", "types"),
    ):
        assert error_of(await api.client.get(path), 422, "invalid_request")["param"] == param


async def test_a_body_that_is_not_json_is_refused(api: Web) -> None:
    """415: a form of a foreign page can never be one."""
    got = await api.client.post("/api/v1/swaps", data={"model": "tiny"})
    error_of(got, 415, "unsupported_media_type")
    assert not api.swaps.asked


async def test_a_large_body_is_refused(api: Web) -> None:
    """413, declared or not."""

    async def pieces():  # type: ignore[no-untyped-def]
        for _ in range(20):
            yield b" " * 100_000

    for content in (b" " * 1_100_000, pieces()):
        got = await api.client.post(
            "/api/v1/models", content=content, headers={"content-type": "application/json"}
        )
        error_of(got, 413, "payload_too_large")


async def test_a_mistake_of_ours_is_answered_without_its_text(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """500 internal with the request id; the traceback is in the log."""
    pages = APIRouter()

    @pages.get("/boom")
    async def boom() -> None:
        raise RuntimeError("secret detail")

    async with web(tmp_path, pages=[pages]) as api:
        got = await api.client.get("/boom")
    error_of(got, 500, "internal")
    assert "secret" not in got.text


async def test_the_older_prefix_answers_the_same(api: Web) -> None:
    """`/api/x` is `/api/v1/x`, with or without a slash at the end."""
    newer = await api.client.get("/api/v1/hosts")
    for path in ("/api/hosts", "/api/hosts/", "/api/v1/hosts/"):
        older = await api.client.get(path)
        assert older.status_code == 200
        assert older.json() == newer.json()
    assert (await api.client.get("/api")).json()["links"]["swaps"] == "/api/v1/swaps"


async def test_head_answers_like_get_without_a_body(api: Web) -> None:
    """Also for the endless event stream, which must not hang."""
    for path in ("/api/v1/hosts", "/healthz", "/metrics", "/api/v1/events"):
        got = await api.client.head(path)
        assert got.status_code == 200
        assert got.content == b""
    error_of_head = await api.client.head("/api/v1/nothing")
    assert error_of_head.status_code == 404


async def test_v1_never_enters_the_api(api: Web) -> None:
    """The dispatcher hands it to the gateway, which here is a teapot."""
    assert (await api.client.post("/v1/chat/completions", json={})).status_code == 418
    assert (await api.client.get("/v1/models", headers={"x-request-id": "a"})).headers[
        "x-request-id"
    ] == "a"
