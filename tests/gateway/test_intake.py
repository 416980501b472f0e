"""What a client may send to `/v1`: methods, media type, size, JSON, model."""

import io
from collections.abc import AsyncIterator

import pytest

from tests.gateway.made import gateway

JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        (b"", 400, None),
        (b"{", 400, None),
        (b"[]", 400, None),
        (b'"text"', 400, None),
        (b"\xff\xfe", 400, None),
        (b"{}", 400, "model"),
        (b'{"model": null}', 400, "model"),
        (b'{"model": 5}', 400, "model"),
        (b'{"model": "  "}', 400, "model"),
        (b'{"model": "' + b"x" * 600 + b'"}', 400, "model"),
        (b'{"model": "$(reboot); `id` \\u0000 \\n"}', 404, "model"),
    ],
)
async def test_a_bad_body_is_refused_before_any_engine_is_asked(
    body: bytes, status: int, param: str | None
) -> None:
    """The error names the field when there is one."""
    async with (
        gateway() as running,
        running.session.post(running.url + "/v1/chat/completions", data=body, headers=JSON) as got,
    ):
        assert got.status == status
        error = (await got.json())["error"]
    assert error["param"] == param
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/x"])
async def test_only_json_is_taken(kind: str) -> None:
    """415 for what a foreign form could send."""
    async with (
        gateway() as running,
        running.session.post(
            running.url + "/v1/chat/completions", data=b"{}", headers={"content-type": kind}
        ) as got,
    ):
        assert got.status == 415
        assert (await got.json())["error"]["code"] == "unsupported_media_type"


async def test_a_declared_length_over_the_limit_is_refused_unread() -> None:
    """413, and the connection can be used again."""
    async with (
        gateway(max_upload_mb=1) as running,
        running.session.post(
            running.url + "/v1/chat/completions",
            data=io.BytesIO(b"x" * ((1 << 20) + 1)),
            headers=JSON,
        ) as got,
    ):
        assert got.status == 413
        assert (await got.json())["error"]["code"] == "payload_too_large"


async def test_an_undeclared_length_is_counted() -> None:
    """A chunked body cannot get around the limit."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 100_000

    async with (
        gateway(max_upload_mb=1) as running,
        running.session.post(
            running.url + "/v1/chat/completions", data=pieces(), headers=JSON
        ) as got,
    ):
        assert got.status == 413


async def test_unknown_paths_and_methods_are_answered_as_json() -> None:
    """404 names what exists, 405 has Allow, OPTIONS says what may be asked; no CORS anywhere."""
    async with gateway() as running:
        async with running.session.post(running.url + "/v1/nothing", json={}) as got:
            assert got.status == 404
            assert (await got.json())["error"]["code"] == "not_found"
        async with running.session.get(running.url + "/v1") as got:
            assert got.status == 404
        async with running.session.get(running.url + "/v1/chat/completions") as got:
            assert got.status == 405
            assert got.headers["allow"] == "POST, OPTIONS"
            assert (await got.json())["error"]["code"] == "method_not_allowed"
        async with running.session.options(running.url + "/v1/models") as got:
            assert got.status == 204
            assert got.headers["allow"] == "GET, HEAD, OPTIONS"
            assert "access-control-allow-origin" not in got.headers
        async with running.session.head(running.url + "/v1/models") as got:
            assert got.status == 200
            assert int(got.headers["content-length"]) > 2


async def test_other_paths_go_to_the_inner_application() -> None:
    """Only whole first segments are taken: /v1x is not /v1."""
    async with gateway() as running:
        for path in ("/", "/v1x", "/api/v1/hosts"):
            async with running.session.get(running.url + path) as got:
                assert got.status == 418
