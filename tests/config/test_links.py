"""Links to pages elsewhere: they end up in an `href`."""

import pytest
from pydantic import ValidationError

from server.config.model import Link, Settings


@pytest.mark.parametrize(
    "url",
    [
        "http://spark-2:3000",
        "https://webui.lan/c/1?tab=a&b=%20#top",
        "http://[2001:db8::1]:3000/",
    ],
)
def test_a_web_address_is_taken(url: str) -> None:
    """http or https, with a host."""
    assert Link(name="Open WebUI", url=url).url == url


@pytest.mark.parametrize(
    "url",
    [
        *("javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "//elsewhere", "/path"),
        *("http://", "http:///x", "http://a b", 'http://a"b', "http://a\nb", "http://a:99999"),
        *("http://user:secret@a", "http://token@a", "http://[::1", "http://\u202ea", "ftp://a", ""),
        "http://" + "a" * 500,
    ],
)
def test_what_could_run_hide_or_tell_a_secret_is_refused(url: str) -> None:
    """A link is shown to everybody who opens the dashboard."""
    with pytest.raises(ValidationError):
        Link(name="x", url=url)


@pytest.mark.parametrize("name", ["", "a\u202eb", "x" * 61])
def test_a_name_is_short_and_can_be_seen(name: str) -> None:
    """It is what a person presses."""
    with pytest.raises(ValidationError):
        Link(name=name, url="http://a")


def test_links_stand_for_all_and_per_service() -> None:
    """Both are empty unless set."""
    link = {"name": "Open WebUI", "url": "http://a:3000"}
    host = {"name": "spark-1", "address": "192.0.2.11"}
    service = {"name": "web", "kind": "web", "host": "spark-1", "port": 3000, "links": [link]}
    settings = Settings.model_validate({"hosts": [host], "services": [service], "links": [link]})
    assert settings.links == settings.services[0].links == (Link(**link),)
    assert Settings().links == ()
