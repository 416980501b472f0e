"""From a catalog entry and settings to what will run."""

from types import MappingProxyType
from typing import Any

import pytest

from server.base.errors import InvalidValue
from server.catalog.model import Model, ModelFiles, Source
from server.config.model import Engine, Host, Settings
from server.launch.model import Node
from server.launch.place import moved, name_of, share
from server.launch.plan import build_spec, groups


def settings(**engine: Any) -> Settings:
    hosts = (
        Host(
            name="spark-1", address="192.0.2.11", cluster_address="198.51.100.11", labels=("llm",)
        ),
        Host(
            name="spark-2", address="192.0.2.12", cluster_address="198.51.100.12", labels=("llm",)
        ),
        Host(name="voice", address="192.0.2.13", labels=("audio",)),
    )
    return Settings(hosts=hosts, engine=Engine(**engine))


def model(**changes: Any) -> Model:
    made: dict[str, Any] = {"id": "tiny", "name": "Tiny", "source": Source(hf="org/tiny")}
    made["knobs"] = MappingProxyType(changes.pop("knobs", {}))
    return Model(**(made | changes))


CLUSTER = {"launch_cluster_dir": "/home/u/svd"}


def test_a_plain_model_runs_in_docker_on_the_first_labelled_host() -> None:
    """Defaults: docker, the hosts labelled llm, the HF cache mounted."""
    made = build_spec(model(aliases=("t", "tiny")), settings())
    assert made.launcher == "docker"
    assert [node.host for node in made.nodes] == ["spark-1"]
    assert made.argv[:7] == ("vllm", "serve", "org/tiny", "--host", "0.0.0.0", "--port", "8000")
    assert made.argv[7:] == ("--served-model-name", "tiny", "t")
    assert made.served_names == ("tiny", "t")
    assert ("~/.cache/huggingface", "/root/.cache/huggingface", False) in made.mounts
    assert made.base_url == "http://192.0.2.11:8000"


def test_a_local_path_is_mounted_read_only_at_the_same_path() -> None:
    """So that the engine sees the path the person wrote."""
    made = build_spec(model(source=Source(path="/srv/models/x")), settings())
    assert made.mounts[-1] == ("/srv/models/x", "/srv/models/x", True)
    assert made.local_path
    assert made.argv[2] == "/srv/models/x"
    bare = build_spec(model(source=Source(path="/srv/models/x")), settings(launcher="bare"))
    assert bare.mounts == ()
    assert bare.image == ""


def test_two_nodes_mean_launch_cluster_and_tensor_parallel() -> None:
    """Whatever the default launcher is."""
    made = build_spec(model(nodes=2), settings(**CLUSTER))
    assert made.launcher == "launch-cluster"
    assert [node.cluster_address for node in made.nodes] == ["198.51.100.11", "198.51.100.12"]
    assert "--tensor-parallel-size" in made.argv
    assert made.option("launch_cluster_dir") == "/home/u/svd"


def test_knobs_and_revision_become_flags() -> None:
    """In the order of the knob table."""
    source = Source(hf="org/tiny", revision="abc")
    made = build_spec(model(source=source, knobs={"max_model_len": 4096}), settings())
    assert made.argv[9:11] == ("--revision", "abc")
    assert made.argv[11:13] == ("--max-model-len", "4096")


@pytest.mark.parametrize(
    ("changes", "engine", "message"),
    [
        ({"launcher": "magic"}, {}, "not a launcher"),
        ({"nodes": 2, "launcher": "docker"}, {}, "runs on one"),
        ({"nodes": 2}, {}, "launch_cluster_dir is not set"),
        ({"nodes": 4}, CLUSTER, "wants 4 nodes, and 3 can"),
        ({"hosts": ("nowhere",)}, {}, "no host is named"),
        ({"source": Source(path="/srv/a:b")}, {}, "holds a colon"),
        ({"source": Source(hf="org/a\nb")}, {}, "line break"),
    ],
)
def test_what_cannot_run_is_refused(
    changes: dict[str, Any], engine: dict[str, Any], message: str
) -> None:
    """With a sentence, before anything is touched."""
    with pytest.raises(InvalidValue, match=message):
        build_spec(model(**changes), settings(**engine))


def test_named_hosts_and_the_default_host_win() -> None:
    """The entry before the settings before the labels."""
    named = build_spec(model(hosts=("voice",)), settings(default_host="spark-2"))
    assert named.head.host == "voice"
    assert build_spec(model(), settings(default_host="spark-2")).head.host == "spark-2"
    pair = build_spec(model(nodes=2), settings(default_host="spark-2", **CLUSTER))
    assert [node.host for node in pair.nodes] == ["spark-2", "spark-1"]


def test_hosts_without_the_label_are_taken_when_more_are_needed() -> None:
    """The label says where models run first, not where they may not run."""
    made = build_spec(model(nodes=3), settings(**CLUSTER))
    assert [node.host for node in made.nodes] == ["spark-1", "spark-2", "voice"]


def test_heads_that_do_not_divide_are_refused_when_they_are_known() -> None:
    """Tensor parallelism needs whole heads per GPU."""
    files = ModelFiles("spark-1", True, True, config={"num_attention_heads": 15})
    with pytest.raises(InvalidValue, match="15 attention heads"):
        build_spec(model(nodes=2), settings(**CLUSTER), files=files)
    build_spec(model(nodes=2), settings(**CLUSTER))


def test_the_fingerprint_is_of_what_runs_not_of_names_for_people() -> None:
    """Same run, same fingerprint; another knob, host or image, another one."""
    first = build_spec(model(), settings()).fingerprint
    assert build_spec(model(name="Other", description="x", ttl=5), settings()).fingerprint == first
    others = {
        build_spec(model(knobs={"max_model_len": 4096}), settings()).fingerprint,
        build_spec(model(env={"A": "1"}), settings()).fingerprint,
        build_spec(model(image="other"), settings()).fingerprint,
        build_spec(model(hosts=("spark-2",)), settings()).fingerprint,
        build_spec(model(launcher="bare"), settings()).fingerprint,
    }
    assert first not in others
    assert len(others) == 5


def hosts_of(*wanted: tuple[Node, ...]) -> list[list[str]]:
    return [[node.host for node in group] for group in wanted]


def test_a_model_may_go_to_any_host_that_is_meant_for_it() -> None:
    """The entry before the default host before the label; the first is where it goes today."""
    assert hosts_of(*groups(model(), settings())) == [["spark-1"], ["spark-2"]]
    assert hosts_of(*groups(model(), settings(default_host="spark-2"))) == [["spark-2"]]
    named = groups(model(hosts=("voice", "spark-1")), settings(default_host="spark-2"))
    assert hosts_of(*named) == [["voice"], ["spark-1"]]
    assert hosts_of(*groups(model(nodes=2), settings(**CLUSTER))) == [["spark-1", "spark-2"]]
    bare = Settings(hosts=settings().hosts[2:])
    assert hosts_of(*groups(model(), bare)) == [["voice"]]


def test_a_spec_in_another_place_is_the_same_run() -> None:
    """Port and name are of the place; the fingerprint is of what runs."""
    made = build_spec(model(knobs={"max_model_len": 4096}), settings())
    there = moved(made, (Node("spark-2", "192.0.2.12"),), name_of(made.container, 2), 8002)
    assert (there.head.host, there.port, there.base_url) == (
        "spark-2",
        8002,
        "http://192.0.2.12:8002",
    )
    assert there.container == "spark-control-engine-2"
    assert there.argv[6] == "8002"
    assert there.argv[:6] + there.argv[7:] == made.argv[:6] + made.argv[7:]
    assert there.fingerprint == made.fingerprint
    assert moved(there, made.nodes, name_of(made.container, 0), 8000) == made


def test_the_share_of_memory_is_what_the_engine_is_told() -> None:
    told = build_spec(model(knobs={"gpu_memory_utilization": 0.4}), settings())
    assert share(told) == 0.4
    assert share(build_spec(model(), settings())) == 0.9
