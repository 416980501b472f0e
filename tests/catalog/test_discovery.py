"""What lies on the hosts and is not in the catalog is offered with its size and its hosts."""

from collections.abc import Callable
from pathlib import Path

import pytest

from server.base.errors import RemoteCommandFailed
from server.catalog.discovery import Found, discover, offers
from server.catalog.model import Catalog, Model, Source

Make = Callable[..., Path]


async def test_the_cache_and_the_roots_are_scanned_with_one_command(shell, roots, make_model: Make):
    """Snapshots of the hub, and directories with a config and weights."""
    hub = shell.home / ".cache/huggingface/hub"
    cached = make_model(hub / "models--Org--Some.Model" / "snapshots" / "abc", model_type="llama")
    (cached.parents[1] / "refs").mkdir()
    (cached.parents[1] / "refs" / "main").write_text("abc")
    root = Path(roots[0])
    mine = make_model(root / "team" / "my tune")
    (root / "notes").mkdir()
    (root / "notes" / "config.json").write_text("{}")
    found = await discover(shell, roots, None)
    assert len(shell.ran) == 1
    by_ref = {item.ref: item for item in found}
    assert set(by_ref) == {"Org/Some.Model", str(mine)}
    assert by_ref["Org/Some.Model"].model_type == "llama"
    assert by_ref["Org/Some.Model"].bytes == sum(f.stat().st_size for f in cached.iterdir())
    assert by_ref[str(mine)].kind == "path"
    assert by_ref[str(mine)].refused == ""


async def test_unfinished_downloads_and_dangling_links_are_told(shell, roots, make_model: Make):
    """Incomplete is False; everything else is not promised."""
    base = shell.home / ".cache/huggingface/hub/models--Org--M"
    make_model(base / "snapshots" / "abc")
    (base / "blobs").mkdir()
    (base / "blobs" / "x.incomplete").write_text("x")
    mine = make_model(Path(roots[0]) / "mine")
    (mine / "extra.json").symlink_to("gone")
    found = await discover(shell, roots, None)
    assert [item.complete for item in found] == [False, False]


async def test_hostile_names_are_data_and_are_offered_with_the_reason_they_are_refused(
    shell, roots, make_model: Make
):
    """They show up, so that a person knows why they cannot be added."""
    root = Path(roots[0])
    for name in ("$(touch pwned)", "a;touch pwned", "`touch pwned`", "it's"):
        make_model(root / name)
    found = await discover(shell, roots, None)
    assert len(found) == 4
    assert all("rename the directory" in item.refused for item in found)
    assert not list(root.parent.rglob("pwned"))


async def test_a_host_with_nothing_offers_nothing(shell):
    """No cache, no roots: an empty list, not an error."""
    assert await discover(shell, ("/nonexistent",), None) == []


async def test_a_scan_that_breaks_off_is_an_error_and_not_an_empty_host(shell):
    """Nothing found and nothing known are two things."""
    shell.sh = "/bin/false"
    with pytest.raises(RemoteCommandFailed, match="did not finish"):
        await discover(shell, (), None)


def test_offers_leave_out_the_catalog_and_join_hosts():
    """One row per model, ready to be added, with an id that is free."""
    known = Model("one", "One", Source(hf="org/one"), aliases=("two",))
    found = [
        Found("spark-1", "hf", "org/one", 5, None, None),
        Found("spark-1", "hf", "org/Two", 10, None, "llama"),
        Found("spark-2", "hf", "org/Two", 8, False, None),
        Found("spark-1", "path", "/srv/models/My Tune!", 99, None, "bert"),
        Found("spark-1", "hf", "org/sent", 1, None, "sentence_bert"),
    ]
    rows = offers(found, Catalog({"one": known}))
    assert [row["ref"] for row in rows] == ["/srv/models/My Tune!", "org/Two", "org/sent"]
    assert [row["suggested_id"] for row in rows] == ["my-tune", "two-2", "sent"]
    assert rows[1]["source"] == {"hf": "org/Two"}
    assert [host["host"] for host in rows[1]["hosts"]] == ["spark-1", "spark-2"]
    assert rows[2]["likely_served"] is False
