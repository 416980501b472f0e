"""`/v1/models`: everything that can be asked for, with its true state, in both shapes."""

from dataclasses import replace

from server.base.health import Verdict
from server.gateway.listing import anthropic_page, find, listing, state_of
from server.swap.model import State
from tests.gateway.made import catalog, gateway, model, service, serving
from tests.swap.made import T0, record

URL = "http://127.0.0.1:8000"


def states(entries: list[dict[str, object]]) -> dict[object, object]:
    return {entry["id"]: entry["state"] for entry in entries}


def test_what_is_served_comes_first_then_the_rest_then_the_services() -> None:
    """Several may be served; one that is drained says so; disabled ones are not offered."""
    models = catalog(
        model("a"),
        model("b", variants={"hot": {"temperature": 2}}),
        model("c"),
        model("off", enabled=False),
    )
    layout = (serving("b"), replace(serving("c"), accepting=False))
    entries = listing(
        models,
        layout,
        (record(model="a", state=State.LOADING),),
        T0,
        services=[
            service("kokoro", "tts", URL),
            service("one", "embeddings", URL, models=("bge",)),
            service("two", "embeddings", URL, models=("bge",)),
            service("store", "qdrant", URL),
        ],
        verdicts={
            "kokoro": Verdict.down("no answer"),
            "one": Verdict.down("no answer"),
            "two": Verdict.up(),
        },
    )
    assert states(entries) == {
        "b": "serving",
        "b:hot": "serving",
        "c": "draining",
        "a": "loading",
        "kokoro": "unavailable",
        "bge": "serving",
    }
    assert [entry["id"] for entry in entries][:3] == ["b", "b:hot", "c"]
    hot = entries[1]
    assert (hot["parent"], hot["host"], hot["kind"]) == ("b", "spark-1", "llm")
    assert entries[0]["variants"] == ["b:hot"]
    assert find(entries, "two") == find(entries, "bge")


def test_a_service_that_was_not_looked_at_is_unknown() -> None:
    """Unknown never becomes down."""
    entries = listing(catalog(), (), (), T0, services=[service("kokoro", "tts", URL)])
    assert states(entries) == {"kokoro": "unknown"}
    assert state_of("a", (), ()) == "available"


def test_a_model_keeps_its_name_beside_a_service() -> None:
    """One entry for an id: what is asked for by it is the model."""
    entries = listing(
        catalog(model("kokoro")), (), (), T0, services=[service("kokoro", "tts", URL)]
    )
    assert [entry["kind"] for entry in entries] == ["llm"]


def test_anthropics_page() -> None:
    """All on one page, with the fields that its client reads."""
    entries = listing(catalog(model("a"), model("b")), (serving("b"),), (), T0)
    page = anthropic_page(entries)
    assert (page["has_more"], page["first_id"], page["last_id"]) == (False, "b", "a")
    first = page["data"][0]
    assert (first["type"], first["id"], first["display_name"]) == ("model", "b", "B")
    assert first["created_at"].endswith("Z")
    assert anthropic_page([])["first_id"] is None


async def test_both_shapes_over_http() -> None:
    """By the header that Anthropic's client sends; one by id, alias and escaped name."""
    async with gateway() as running:
        running.catalog = catalog(model("org/a", aliases=("x",)))
        anthropic = {"anthropic-version": "2023-06-01"}
        async with running.session.get(running.url + "/v1/models/") as got:
            assert (await got.json())["object"] == "list"
        async with running.session.get(running.url + "/v1/models", headers=anthropic) as got:
            assert (await got.json())["data"][0]["type"] == "model"
        for name in ("org%2Fa", "org/a", "x"):
            async with running.session.get(running.url + "/v1/models/" + name) as got:
                assert (await got.json())["id"] == "org/a"
        async with running.session.get(running.url + "/v1/models/no", headers=anthropic) as got:
            assert got.status == 404
            assert (await got.json())["type"] == "error"
