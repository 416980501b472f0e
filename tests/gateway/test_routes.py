"""Every route reaches the upstream that is meant, with the bytes that were sent."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import orjson
from starlette.types import Send
from yarl import URL

from server.gateway.operations import OPERATIONS, SEGMENTS, find
from tests.gateway.made import Running, gateway, model, service
from tests.gateway.made import catalog as catalog_of
from tests.gateway.running import Call, ScriptedEngine, begin, part, serve, whole

KINDS = ("engine", "asr", "tts", "embeddings", "rerank", "diarize", "qdrant", "other")
AS_JSON = {"content-type": "application/json"}
SOUND = b"RIFF\x00\xff" * 500


@asynccontextmanager
async def house() -> AsyncIterator[tuple[Running, dict[str, ScriptedEngine]]]:
    """An engine that serves `tiny` and a service of each kind, each answering with its own name."""
    engines = {kind: ScriptedEngine(whole({"answered": kind})) for kind in KINDS}
    async with AsyncExitStack() as stack:
        urls = {kind: await stack.enter_async_context(serve(one)) for kind, one in engines.items()}
        running = await stack.enter_async_context(gateway())
        running.serve(urls["engine"])
        running.services = tuple(
            service("scrub" if kind == "other" else f"the-{kind}", kind, urls[kind])
            for kind in KINDS
            if kind != "engine"
        )
        yield running, engines


def form(**fields: str) -> aiohttp.FormData:
    data = aiohttp.FormData()
    for name, value in fields.items():
        data.add_field(name, value)
    data.add_field("file", SOUND, filename="a.wav", content_type="audio/wav")
    return data


JSON_ROUTES = [
    ("/v1/chat/completions", "engine", "/v1/chat/completions"),
    ("/v1/completions", "engine", "/v1/completions"),
    ("/v1/responses", "engine", "/v1/responses"),
    ("/v1/messages", "engine", "/v1/messages"),
    ("/v1/messages/count_tokens", "engine", "/v1/messages/count_tokens"),
    ("/v1/tokenize", "engine", "/tokenize"),
    ("/v1/detokenize", "engine", "/detokenize"),
    ("/v1/embeddings", "embeddings", "/v1/embeddings"),
    ("/v1/rerank", "rerank", "/v1/rerank"),
    ("/v1/reranking", "rerank", "/v1/rerank"),
    ("/rerank", "rerank", "/rerank"),
    ("/v1/score", "rerank", "/v1/score"),
    ("/v1/audio/speech", "tts", "/v1/audio/speech"),
]
FORM_ROUTES = [
    ("/v1/audio/transcriptions", "asr"),
    ("/v1/audio/translations", "asr"),
    ("/v1/audio/diarize", "diarize"),
    ("/v1/audio/diarize-chunk", "diarize"),
]


def test_the_table_is_whole() -> None:
    """Each row is asked for below, and each first segment goes to the gateway."""
    asked = {path for path, *_ in (*JSON_ROUTES, *FORM_ROUTES)}
    others = {"/v1/audio/voices", "/v1/audio/label-merge", "/scrub", "/qdrant", "/upstream"}
    sockets = {path for path, operation in OPERATIONS.items() if operation.socket}
    assert asked | others | sockets == set(OPERATIONS)
    assert set(SEGMENTS) == {"v1", "rerank", "scrub", "qdrant", "upstream"}
    assert find("/qdrant/a/b") is OPERATIONS["/qdrant"]
    assert find("/v1/embeddings/x") is None
    assert find("/v1") is None


async def test_json_routes() -> None:
    """The service of the kind where there is one, else the engine; the body byte for byte."""
    async with house() as (running, engines):
        for path, kind, asked in JSON_ROUTES:
            name = "tiny" if kind == "engine" else "anything"
            raw = b'{ "model":"' + name.encode() + b'",  "input": "\\u00e4"}'
            url = URL(running.url + path + "?a=1%2F", encoded=True)
            async with running.session.post(url, data=raw, headers=AS_JSON) as got:
                assert (await got.json()) == {"answered": kind}, path
            call = engines[kind].calls[-1]
            assert (call.path, call.raw, call.query) == (asked, raw, b"a=1%2F")


async def test_forms() -> None:
    """Speech goes to who hears it, speakers to who knows them."""
    async with house() as (running, engines):
        for path, kind in FORM_ROUTES:
            async with running.session.post(
                running.url + path, data=form(model="anything", language="de")
            ) as got:
                assert (await got.json()) == {"answered": kind}, path
            call = engines[kind].calls[-1]
            assert call.path == path
            assert SOUND in call.raw
            assert call.header(b"content-length") == str(len(call.raw)).encode()


async def test_a_model_of_the_catalog_goes_to_its_engine_on_any_route() -> None:
    """vLLM serves embeddings, rerankers and speech models too."""
    async with house() as (running, engines):
        async with running.post("/v1/embeddings", {"model": "tiny", "input": "a"}) as got:
            assert (await got.json()) == {"answered": "engine"}
        async with running.session.post(
            running.url + "/v1/audio/transcriptions", data=form(model="small")
        ) as got:
            assert (await got.json()) == {"answered": "engine"}
        assert b"tiny" in engines["engine"].calls[-1].raw


async def test_voices_are_read() -> None:
    """A GET, with the caller's query."""
    async with house() as (running, engines):
        async with running.session.get(running.url + "/v1/audio/voices?lang=de") as got:
            assert (await got.json()) == {"answered": "tts"}
        assert (engines["tts"].calls[0].method, engines["tts"].calls[0].query) == (
            "GET",
            b"lang=de",
        )
        async with running.session.post(running.url + "/v1/audio/voices", json={}) as got:
            assert got.status == 405
            assert got.headers["allow"] == "GET, HEAD, OPTIONS"


async def test_scrub_is_a_service_of_that_name() -> None:
    """Any body goes there."""
    async with house() as (running, engines):
        async with running.session.post(running.url + "/scrub", data=b"Anna") as got:
            assert (await got.json()) == {"answered": "other"}
        assert (engines["other"].calls[0].path, engines["other"].calls[0].raw) == (
            "/scrub",
            b"Anna",
        )


async def test_qdrant_gets_everything_below_it() -> None:
    """Any method and path, as they were written; its errors stay its own."""

    async def answer(_call: Call, send: Send) -> None:
        await begin(send, "application/json", 404)
        await part(send, b'{"status":{"error":"Not found"}}', last=True)

    async with house() as (running, engines):
        engines["qdrant"].answer = answer
        url = URL(running.url + "/qdrant/collections/a%2Fb/points?wait=true", encoded=True)
        for method in ("GET", "PUT", "POST", "DELETE", "PATCH"):
            async with running.session.request(
                method,
                url,
                data=b'{"points":[]}' if method != "GET" else None,
                headers={"authorization": "Bearer of-qdrant", "cookie": "a=b"},
            ) as got:
                assert got.status == 404
                assert await got.json() == {"status": {"error": "Not found"}}
            call = engines["qdrant"].calls[-1]
            assert (call.method, call.raw_path) == (method, b"/collections/a%2Fb/points")
            assert call.query == b"wait=true"
            assert call.header(b"authorization") == b"Bearer of-qdrant"
            assert call.header(b"cookie") is None


async def test_upstream_reaches_whatever_is_named() -> None:
    """A model, an alias or a service; the rest of the path is its own."""
    async with house() as (running, engines):
        for name in ("tiny", "small", "the-tts", "the-qdrant", "scrub"):
            async with running.session.get(f"{running.url}/upstream/{name}/metrics/?x=1") as got:
                assert got.status == 200
                assert got.headers["content-security-policy"].startswith("sandbox")
                kind = (await got.json())["answered"]
            assert engines[kind].calls[-1].path == "/metrics/"
            async with running.session.get(f"{running.url}/upstream/{name}") as got:
                assert got.status == 200
            assert engines[kind].calls[-1].path == "/"


async def test_paths_that_lead_nowhere() -> None:
    """Told as JSON, with what there is."""
    wanted = {
        "/upstream/nobody/x": 404,
        "/upstream/": 404,
        "/upstream/tiny/a/%2e%2e/b": 400,
        "/qdrant/../x": 400,
        "/v1/nothing": 404,
        "/v1/embeddings/x": 404,
        "/v1/realtime": 404,
        "/rerank/x": 404,
    }
    async with house() as (running, _):
        for path, status in wanted.items():
            async with running.session.get(URL(running.url + path, encoded=True)) as got:
                assert got.status == status, path
                assert (await got.json())["error"]["message"]


async def test_a_variant_sets_its_fields() -> None:
    """By `model:variant`; the engine is sent the name it knows."""
    async with house() as (running, engines):
        running.catalog = catalog_of(
            model("tiny", variants={"hot": {"temperature": 2}}, aliases=("small",))
        )
        async with running.post(body={"model": "small:hot", "temperature": 0, "n": 1}) as got:
            assert got.status == 200
        assert orjson.loads(engines["engine"].calls[0].raw) == {
            "model": "tiny",
            "temperature": 2,
            "n": 1,
        }


async def test_a_key_of_ours_never_reaches_an_upstream() -> None:
    """Not even where the caller's own credentials are passed on."""
    async with house() as (running, engines):
        for path in ("/qdrant/collections", "/upstream/tiny/v1/models"):
            sent = {"authorization": "Bearer sk-spark-abc_def", "x-api-key": "theirs"}
            async with running.session.get(running.url + path, headers=sent) as got:
                assert got.status == 200
        for kind in ("qdrant", "engine"):
            call = engines[kind].calls[0]
            assert call.header(b"authorization") is None
            assert call.header(b"x-api-key") == b"theirs"
