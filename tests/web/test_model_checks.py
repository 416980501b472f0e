"""`fit`, `files` and `version` of a model, `/models/check` and `/models/import`."""

from dataclasses import replace
from typing import Any

from server.base.health import Verdict
from server.base.units import GIB
from server.fleet.model import Container, Gpu, GpuProcess, HostStatus, Memory, Sample
from server.swap.model import Serving
from tests.swap.made import T0, deployment
from tests.web.made import Web

CONFIG = {
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "hidden_size": 4096,
    "max_position_embeddings": 8192,
    "torch_dtype": "bfloat16",
}
TINY = {"source": {"hf": "Acme/Tiny"}, "bytes": 9 * GIB, "weight_bytes": 8 * GIB, "config": CONFIG}
BODY = {"id": "mine", "source": {"path": "/srv/models/mine"}, "knobs": {"seed": 1}}


def sample(host: str, available: int, *processes: GpuProcess) -> Sample:
    return Sample(
        host=host,
        at=T0,
        boot_id="b",
        uptime=1.0,
        load=None,
        cores=20,
        gpus=(Gpu(processes=processes),),
        memory=Memory(total=120 * GIB, available=available),
        disks=(),
        nics=(),
        containers=(Container("c" * 64, "spark-control-engine", "vllm-node", "running", "Up"),),
    )


def seen(api: Web, **available: int) -> None:
    for number, gib in available.items():
        host = f"spark-{number[-1]}"
        api.fleet.hosts[host] = HostStatus(host, Verdict.up(), sample(host, gib * GIB), T0)


async def one(api: Web, name: str = "tiny") -> dict[str, Any]:
    found: dict[str, Any] = (await api.client.get(f"/api/v1/models/{name}")).json()
    return found


async def test_a_model_tells_where_its_files_are_and_whether_it_fits(api: Web) -> None:
    """From what the scans and samples left in memory."""
    api.discovery.models = [TINY | {"host": "spark-2", "complete": None}]
    seen(api, s1=115, s2=115)
    model = await one(api)
    assert model["files"] == [{"host": "spark-2", "bytes": 9 * GIB, "complete": None}]
    assert model["fit"]["answer"] == "now"
    home = model["fit"]["homes"][0]
    assert home["weights_bytes"] == 8 * GIB
    assert home["total_bytes"] == 120 * GIB
    assert any("free now" in line.lower() for line in home["lines"])


async def test_nothing_is_known_before_hosts_and_scans_have_told(api: Web) -> None:
    """Unknown is not 'does not fit'."""
    assert (await one(api))["fit"]["answer"] == "unknown"
    assert (await one(api, "large"))["files"] == []


async def test_what_an_engine_holds_counts_as_room_unless_it_is_pinned(api: Web) -> None:
    """By the processes in its container; a swap may stop it, but never a pinned one."""
    api.discovery.models = [TINY | {"host": "spark-1", "complete": None}]
    api.swaps.served = Serving("large", ("large",), "http://x", T0, deployment("large"))
    process = GpuProcess(1, "VLLM", 100 * GIB, "c" * 64)
    status = HostStatus("spark-1", Verdict.up(), sample("spark-1", 12 * GIB, process), T0)
    api.fleet.hosts["spark-1"] = status
    fit = (await one(api))["fit"]
    assert fit["answer"] == "would"
    assert "once large is unloaded" in fit["summary"]
    found = (await api.client.get("/api/v1/models/large")).json()
    await api.client.put("/api/v1/models/large", json=found | {"pinned": True})
    assert "something has to be stopped" in (await one(api))["fit"]["summary"]
    api.fleet.hosts["spark-1"] = replace(status, verdict=Verdict.unknown("gone"))
    assert (await one(api))["fit"]["answer"] == "unknown"


async def test_a_model_that_no_host_can_take_says_so(api: Web) -> None:
    """More nodes than there are hosts."""
    body = BODY | {"nodes": 8}
    checked = (await api.client.post("/api/v1/models/check", json=body)).json()
    assert checked["fit"]["answer"] == "cannot"
    assert "wants 8 nodes" in checked["fit"]["summary"]
    assert checked["refused"]
    assert checked["commands"] == []


async def test_the_config_of_a_found_model_stays_inside(api: Web) -> None:
    """It is for arithmetic; the list of what was found stays small."""
    found = TINY | {"host": "spark-1", "source": {"hf": "Acme/Other"}}
    api.discovery.models = [found]
    (row,) = (await api.client.get("/api/v1/discovery")).json()["models"]
    assert "config" not in row


async def test_a_check_answers_the_fields_and_the_commands(api: Web) -> None:
    """Wrong: every field. Right: what would run. Nothing is saved either way."""
    wrong = BODY | {"knobs": {"max_model_len": -1}, "nodes": 0}
    answer = (await api.client.post("/api/v1/models/check", json=wrong)).json()
    assert answer["ok"] is False
    assert {one["param"] for one in answer["problems"]} == {"knobs.max_model_len", "nodes"}
    answer = (await api.client.post("/api/v1/models/check", json=BODY)).json()
    assert answer["ok"] is True
    assert "vllm serve /srv/models/mine" in answer["commands"][0]["command"]
    assert "mine" not in (await api.client.get("/api/v1/models")).text


async def test_a_put_with_an_older_version_is_told_so(api: Web) -> None:
    """Read, change, write: without a version nothing is asked, with one it must be the newest."""
    first = (await api.client.post("/api/v1/models", json=BODY)).json()
    again = await api.client.put("/api/v1/models/mine", json=first | {"ttl": 60})
    assert again.status_code == 200
    assert again.json()["version"] != first["version"]
    stale = await api.client.put("/api/v1/models/mine", json=first | {"ttl": 90})
    assert (stale.status_code, stale.json()["error"]["code"]) == (409, "stale_edit")


async def test_a_recipe_becomes_a_body_that_can_be_added(api: Web) -> None:
    """And what it could not take over is told."""
    text = "model: a/b\ncontainer: vllm-node\nmods: [x]\ndefaults: {max_model_len: 4096}\n"
    answer = (await api.client.post("/api/v1/models/import", json={"text": text})).json()
    assert answer["left_out"][0]["what"] == "mods"
    added = await api.client.post("/api/v1/models", json=answer["model"])
    assert added.status_code == 201
    assert added.json()["knobs"] == {"max_model_len": 4096}
    refused = await api.client.post("/api/v1/models/import", json={"text": "x: ["})
    assert (refused.status_code, refused.json()["error"]["param"]) == (422, "text")


async def test_a_removed_shipped_model_is_listed_as_hidden_and_comes_back(api: Web) -> None:
    """`reset` takes the removal away."""
    await api.client.delete("/api/v1/models/tiny")
    listed = (await api.client.get("/api/v1/models")).json()
    assert listed["hidden"] == ["tiny"]
    assert (await api.client.post("/api/v1/models/tiny/reset")).status_code == 200
    assert (await api.client.get("/api/v1/models")).json()["hidden"] == []
