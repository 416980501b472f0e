"""Foreign web pages are kept out; programs are not bothered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.web.guard import is_own_name, objection, same_origin, split_host
from tests.web.made import Web

BODY = {"model": "tiny"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 202),
        ({"origin": "http://127.0.0.1:9999"}, 202),
        ({"sec-fetch-site": "same-origin", "origin": "http://127.0.0.1:9999"}, 202),
        ({"sec-fetch-site": "none"}, 202),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site", "origin": "http://127.0.0.1:8080"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:8080"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"origin": "http://127.0.0.1:9999.evil.example"}, 403),
        ({"origin": "http://evil.example", "host": "evil.example"}, 403),
        ({"sec-fetch-site": "same-origin", "host": "evil.example:9999"}, 403),
        ({"origin": "http://box.local:9999", "host": "box.local:9999"}, 202),
        ({"origin": "https://box.local", "host": "box.local"}, 202),
        ({"origin": "http://spark", "host": "spark"}, 202),
        ({"origin": "http://[fd00::1]:9999", "host": "[fd00::1]:9999"}, 202),
    ],
)
async def test_changes_need_our_own_origin(api: Web, headers: dict[str, str], status: int) -> None:
    """CSRF and DNS rebinding: nothing is changed by a page of somebody else."""
    got = await api.client.post("/api/v1/swaps", json=BODY, headers=headers)
    assert got.status_code == status, got.text
    assert len(api.swaps.asked) == (1 if status == 202 else 0)
    if status == 403:
        assert got.json()["error"]["code"] == "forbidden"
        assert "access-control-allow-origin" not in got.headers


async def test_a_rebound_name_may_not_even_read(api: Web) -> None:
    """The page of a stranger whose name points here gets nothing; a program with it does."""
    browser = {"host": "evil.example", "user-agent": "Mozilla/5.0 (X11)"}
    assert (await api.client.get("/api/v1/hosts", headers=browser)).status_code == 403
    program = {"host": "evil.example"}
    assert (await api.client.get("/api/v1/hosts", headers=program)).status_code == 200


async def test_a_name_of_ones_own_can_be_allowed(api: Web) -> None:
    """The refusal says how, and then it works."""
    headers = {"origin": "https://spark.example.com", "host": "spark.example.com"}
    refused = await api.client.post("/api/v1/swaps", json=BODY, headers=headers)
    assert "web.allowed_hosts" in refused.json()["error"]["advice"]
    api.allowed.append("Spark.Example.com")
    assert (await api.client.post("/api/v1/swaps", json=BODY, headers=headers)).status_code == 202


async def test_the_gateway_is_guarded_as_well(api: Web) -> None:
    """A foreign page must not spend the GPU."""
    headers = {"origin": "http://evil.example"}
    assert (await api.client.post("/v1/chat/completions", headers=headers)).status_code == 403


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("127.0.0.1", True),
        ("192.168.1.5", True),
        ("::1", True),
        ("localhost", True),
        ("spark", True),
        ("spark.local", True),
        ("box.fritz.lan", True),
        ("x.home.arpa", True),
        ("box.tail1234.ts.net", True),
        ("abc.onion", True),
        ("evil.example", False),
        ("local.evil.com", False),
        ("127.0.0.1.nip.io", False),
        ("", False),
    ],
)
def test_only_names_that_no_stranger_can_own_are_ours(name: str, own: bool) -> None:
    """Addresses, names without a dot and private suffixes."""
    assert is_own_name(name, ()) is own
    assert is_own_name(name, ("*",)) is (name != "")


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_text_breaks_the_guard(origin: str, host: str) -> None:
    """Headers come from anywhere: the guard answers, it does not fail."""
    split_host(host)
    same_origin(origin, host)
    headers = [(b"origin", origin.encode()), (b"host", host.encode())]
    objection("POST", headers, ())


@given(st.sampled_from(["http", "https"]), st.from_regex(r"[a-z0-9.-]{1,20}", fullmatch=True))
def test_an_origin_is_its_own_host(scheme: str, host: str) -> None:
    """With and without the default port."""
    port = "443" if scheme == "https" else "80"
    assert same_origin(f"{scheme}://{host}", host)
    assert same_origin(f"{scheme}://{host}", f"{host}:{port}")
    assert not same_origin(f"{scheme}://{host}:1", host)
    assert not same_origin(f"{scheme}://x{host}", host)
