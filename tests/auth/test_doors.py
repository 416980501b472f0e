"""Which path needs what."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.auth.doors import need, opens, safe_return


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        ("GET", "/livez", "nothing"),
        ("GET", "/readyz", "nothing"),
        ("POST", "/login", "nothing"),
        ("GET", "/static/app.1234567890.css", "nothing"),
        ("GET", "/", "read"),
        ("GET", "/metrics", "read"),
        ("GET", "/api/v1/hosts", "read"),
        ("GET", "/something/new", "read"),
        ("GET", "/livez/../api/v1/hosts", "read"),
        ("GET", "/staticx", "read"),
        ("POST", "/api/v1/swaps", "admin"),
        ("DELETE", "/api/v1/keys/x", "admin"),
        ("GET", "/api/v1/backups", "read"),
        ("GET", "/api/v1/backups/manual-1", "admin"),
        ("HEAD", "/api/backups/manual-1/", "admin"),
        ("BREW", "/api/v1/keys/x", "admin"),
        ("POST", "/ui/try/v1/chat/completions", "admin"),
    ],
)
def test_everything_is_closed_that_is_not_named(method: str, path: str, needed: str) -> None:
    """A route that is added tomorrow is closed as well."""
    assert need(method, path) == needed


def test_admin_opens_everything_and_read_what_only_looks() -> None:
    """A key of the gateway opens neither."""
    assert opens(frozenset({"admin"}), "admin")
    assert opens(frozenset({"admin"}), "read")
    assert opens(frozenset({"read"}), "read")
    assert not opens(frozenset({"read"}), "admin")
    assert not opens(frozenset({"gateway"}), "read")


@pytest.mark.parametrize(
    "path",
    ["//evil.example", "/\\evil.example", "https://evil.example", "", "evil", "/\t/evil", "/login"],
)
def test_the_way_back_never_leads_to_another_site(path: str) -> None:
    """What is doubtful leads to the overview."""
    assert safe_return(path) == "/"


@given(st.text())
def test_the_way_back_is_always_a_path_of_ours(path: str) -> None:
    """One slash, then something that is none."""
    place = safe_return(path)
    assert place[0] == "/"
    assert place[1:2] not in {"/", "\\"}


def test_a_page_that_was_wanted_is_gone_back_to() -> None:
    """With what was asked."""
    assert safe_return("/swaps?model=a&page=2") == "/swaps?model=a&page=2"
