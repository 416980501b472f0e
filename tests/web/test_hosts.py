"""`/api/v1/hosts`: saved, told to the fleet, and never asked by a GET."""

import pytest

from server.base.errors import HostKeyChanged
from server.base.health import Verdict
from server.fleet.model import Disk, HostStatus, Memory, Sample
from server.ssh.model import Target
from tests.gateway.made import serving
from tests.swap.made import T0
from tests.web.made import Web

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIG9uZW9uZW9uZW9uZW9uZW9uZW9uZW9uZW9uZW9uZW9u"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHR3b3R3b3R3b3R3b3R3b3R3b3R3b3R3b3R3b3R3b3R3"


def sample(host: str) -> Sample:
    return Sample(
        host=host,
        at=T0,
        boot_id="b",
        uptime=5.0,
        load=(0.1, 0.2, 0.3),
        cores=20,
        gpus=(),
        memory=Memory(total=128, available=64),
        disks=(Disk("/", "/dev/nvme0n1p2", 100, 40, 60),),
        nics=(),
        containers=None,
        docker_problem="docker is not installed",
    )


async def test_hosts_are_listed_with_what_is_known(api: Web) -> None:
    """Settings and health together; unknown is unknown."""
    api.fleet.hosts["spark-1"] = HostStatus("spark-1", Verdict.up(), sample("spark-1"), T0)
    hosts = (await api.client.get("/api/v1/hosts")).json()["hosts"]
    assert [(host["name"], host["health"]) for host in hosts] == [
        ("spark-1", "up"),
        ("spark-2", "unknown"),
    ]
    assert hosts[0]["address"] == "192.0.2.11"
    assert hosts[0]["sample"]["memory"]["available"] == 64
    assert hosts[1]["sample"] is None


async def test_a_host_is_added_changed_and_removed(api: Web) -> None:
    """Each change is saved and told once."""
    body = {"name": "spark-3", "address": "192.0.2.13", "port": 2222}
    added = await api.client.post("/api/v1/hosts", json=body)
    assert added.status_code == 201
    assert added.headers["location"] == "/api/v1/hosts/spark-3"
    changed = await api.client.put("/api/v1/hosts/spark-3", json={"address": "192.0.2.14"})
    assert changed.json()["port"] == 22
    assert (await api.client.delete("/api/v1/hosts/spark-3")).status_code == 204
    assert (await api.client.get("/api/v1/hosts/spark-3")).status_code == 404
    assert api.changed == ["spark-3"] * 3


async def test_a_host_may_be_renamed(api: Web) -> None:
    """The old name is forgotten, the new one followed."""
    body = {"name": "big", "address": "192.0.2.11"}
    assert (await api.client.put("/api/v1/hosts/spark-1", json=body)).status_code == 200
    assert api.changed == ["spark-1", "big"]


async def test_a_taken_name_is_a_conflict(api: Web) -> None:
    """Nothing is changed and nobody told."""
    body = {"name": "spark-1", "address": "192.0.2.99"}
    assert (await api.client.post("/api/v1/hosts", json=body)).status_code == 409
    assert api.changed == []


async def test_a_host_that_serves_is_not_removed(api: Web) -> None:
    """409 with what to do first."""
    api.swaps.served = serving("tiny")
    got = await api.client.delete("/api/v1/hosts/spark-1")
    assert got.status_code == 409
    assert "tiny" in got.json()["error"]["message"]


async def test_an_unknown_host_is_named_with_those_that_exist(api: Web) -> None:
    """404 on every route below it."""
    for path in ("", "/samples", "/disk", "/containers", "/logs"):
        got = await api.client.get(f"/api/v1/hosts/nope{path}")
        assert got.status_code == 404
        assert "spark-1, spark-2" in got.json()["error"]["message"]


async def test_the_doctor_answers_with_findings(api: Web) -> None:
    """`ok` when nothing is wrong."""
    got = (await api.client.post("/api/v1/hosts/spark-1/check")).json()
    assert got["ok"] is True
    assert got["findings"][0]["code"] == "ssh"


async def test_a_changed_key_is_accepted_by_the_fingerprint_that_was_seen(api: Web) -> None:
    """Only that one, and only when there is a change to accept."""
    target = Target("spark-1", "192.0.2.11", 22, "ubuntu")
    keys = api.parts.hostkeys
    body = {"fingerprint": "SHA256:other"}
    assert (await api.client.post("/api/v1/hosts/spark-1/accept-key", json=body)).status_code in {
        404,
        409,
    }
    keys.check(target, KEY)  # type: ignore[attr-defined]
    with pytest.raises(HostKeyChanged):
        keys.check(target, OTHER)  # type: ignore[attr-defined]
    shown = (await api.client.get("/api/v1/hosts/spark-1")).json()["host_key_change"]
    wrong = await api.client.post("/api/v1/hosts/spark-1/accept-key", json=body)
    assert wrong.status_code == 409
    body = {"fingerprint": shown["offered"]}
    got = await api.client.post("/api/v1/hosts/spark-1/accept-key", json=body)
    assert got.json() == {"host": "spark-1", "fingerprint": shown["offered"]}
    assert api.changed == ["spark-1"]
    empty = await api.client.post("/api/v1/hosts/spark-1/accept-key", json={})
    assert empty.json()["error"]["param"] == "fingerprint"


async def test_samples_disk_and_containers_come_from_memory(api: Web) -> None:
    """What cannot be told is null, with the reason."""
    api.fleet.kept = [sample("spark-1")]
    api.fleet.hosts["spark-1"] = HostStatus("spark-1", Verdict.up(), sample("spark-1"), T0)
    got = (await api.client.get("/api/v1/hosts/spark-1/samples?minutes=5")).json()
    assert len(got["samples"]) == 1
    disk = (await api.client.get("/api/v1/hosts/spark-1/disk")).json()
    assert disk["filesystems"][0]["available"] == 60
    assert len(disk["models"]) == 2
    containers = (await api.client.get("/api/v1/hosts/spark-1/containers")).json()
    assert containers["containers"] is None
    assert "not installed" in containers["problem"]
    unknown = (await api.client.get("/api/v1/hosts/spark-2/disk")).json()
    assert unknown["filesystems"] is None
    assert api.logs.asked == []


async def test_logs_are_asked_of_the_engine_or_of_a_container(api: Web) -> None:
    """The one GET that asks a host."""
    got = (await api.client.get("/api/v1/hosts/spark-1/logs?lines=5")).json()
    assert got["lines"] == ["one", "two"]
    await api.client.get("/api/v1/hosts/spark-1/logs?container=parakeet-asr")
    assert api.logs.asked == [
        ("spark-1", "spark-control-engine", 5, None),
        ("spark-1", "parakeet-asr", 200, None),
    ]


async def test_services_are_read_with_their_health_and_their_logs(api: Web) -> None:
    """Logs are read as the user that the service names; without a container there are none."""
    listed = (await api.client.get("/api/v1/services")).json()["services"]
    assert [one["name"] for one in listed] == ["parakeet", "kokoro"]
    assert listed[0]["health"] == "unknown"
    assert (await api.client.get("/api/v1/services/kokoro")).json()["port"] == 8880
    await api.client.get("/api/v1/services/parakeet/logs?lines=7")
    assert api.logs.asked == [("spark-2", "parakeet-asr", 7, "audio")]
    assert (await api.client.get("/api/v1/services/kokoro/logs")).status_code == 404
    assert (await api.client.get("/api/v1/services/nope")).status_code == 404
