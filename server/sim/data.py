"""The data directory the simulator leaves for `spark-control serve --data DIR`, and the models.

Owns `config.yaml`, `models.override.yaml`, the key pair and the known hosts, written from what the
contract says of them. Refuses to overwrite what a person may have edited, unless addresses moved.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import asyncssh

from server.sim import models
from server.sim.host import Place, SimHost
from server.sim.layout import HostDir, write, write_json
from server.sim.services import Kind

LOCAL_MODELS = (
    ("qwen3-0.6b", "Qwen3 0.6B (simulated)", "Qwen/Qwen3-0.6B", 1),
    ("llama-3.1-8b", "Llama 3.1 8B fine-tune (simulated)", "example/llama-3.1-8b-tune", 1),
    ("gpt-oss-20b", "gpt-oss 20B (simulated)", "openai/gpt-oss-20b", 1),
    ("qwen3-30b-pair", "Qwen3 30B over two Sparks (simulated)", "Qwen/Qwen3-30B-A3B", 2),
)
BROKEN = ("broken-copy", "A copy with a missing shard (simulated)", "Qwen/Qwen3-4B")
CACHED = (
    "Qwen/Qwen3-32B-FP8",
    "openai/gpt-oss-120b",
    "Qwen/Qwen3-30B-A3B-Instruct-2507-FP8",
)
CACHED_ON = 4


def models_root(root: Path) -> Path:
    return root / "srv" / "models"


def launcher_directory(root: Path) -> Path:
    return root / "srv" / "spark-vllm-docker"


def key_pair(root: Path) -> asyncssh.SSHKey:
    """The key of the control plane, made once."""
    path = root / "ssh" / "id_ed25519"
    if path.exists():
        return asyncssh.read_private_key(path)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = asyncssh.generate_private_key("ssh-ed25519", comment="simulated-cluster")
    write(path, key.export_private_key().decode(), 0o600)
    write(path.with_name("id_ed25519.pub"), key.export_public_key().decode())
    return key


def known_hosts(root: Path, hosts: Iterable[SimHost]) -> None:
    """Every host is pinned. Pins that are there stay: a changed key is for a person to accept."""
    path = root / "ssh" / "known_hosts"
    text = path.read_text() if path.exists() else ""
    for host in hosts:
        place = f"[{host.place.address}]:{host.place.port}"
        if f"{place} " not in text:
            text += f"{place} {host.host_key()}\n"
    write(path, text, 0o600)


def config(root: Path, places: Sequence[Place], port: int, services: Sequence[Kind]) -> str:
    """`config.yaml`. JSON strings are YAML strings, so every value is quoted by `json`."""
    lines = ["# Written by `spark-control sim`: a simulated cluster, no real Spark.", "hosts:"]
    audio = places[min(1, len(places) - 1)].name
    for place in places:
        label = "audio" if place.name == audio and len(places) > 1 else "llm"
        lines.append(
            f"  - {{name: {place.name}, address: {place.address}, port: {place.port}, "
            f"user: ubuntu, cluster_address: {place.cluster_address}, labels: [{label}]}}"
        )
    lines += [
        "engine:",
        "  launcher: docker",
        "  image: vllm-node",
        f"  port: {port}",
        f"  model_roots: [{json.dumps(str(models_root(root)))}]",
        f"  default_host: {places[0].name}",
        f"  launch_cluster_dir: {json.dumps(str(launcher_directory(root)))}",
        "  eth_if: enp1s0f1np1",
        "  ib_if: rocep1s0f1",
        "services:",
    ]
    for service in services:
        extra = ", max_in_flight: 2" if service.kind == "asr" else ""
        user = ", ssh_user: audio" if service.kind == "asr" else ""
        lines.append(
            f"  - {{name: {service.name}, kind: {service.kind}, host: {audio}, "
            f"port: {service.port}, container: {service.container}{user}{extra}}}"
        )
    return "\n".join(lines) + "\n"


def overrides(root: Path) -> str:
    lines = ["# Written by `spark-control sim`: small real model directories.", "models:"]
    rows = [*LOCAL_MODELS, (*BROKEN, 1)]
    for ident, name, _, nodes in rows:
        path = json.dumps(str(models_root(root) / ident))
        lines += [
            f"  - id: {ident}",
            f"    name: {json.dumps(name)}",
            f"    source: {{path: {path}}}",
            f"    nodes: {nodes}",
            "    knobs: {max_model_len: 8192, gpu_memory_utilization: 0.8"
            + (", tensor_parallel_size: 2}" if nodes == 2 else "}"),
        ]
    return "\n".join(lines) + "\n"


def write_shared(root: Path) -> None:
    """What every host sees under one path."""
    for ident, _, repository, _ in LOCAL_MODELS:
        models.write_directory(models_root(root) / ident, repository)
    ident, _, repository = BROKEN
    missing = "model-00002-of-00003.safetensors"
    models.write_directory(models_root(root) / ident, repository, without=missing)
    launcher_directory(root).mkdir(parents=True, exist_ok=True)


def write_home(root: Path, host: HostDir, number: int) -> None:
    """The host's own cache and its checkout of the launcher."""
    hub = host.home / ".cache" / "huggingface" / "hub"
    hub.mkdir(parents=True, exist_ok=True)
    if number < CACHED_ON:
        for repository in CACHED:
            if not models.cached(hub, repository).exists():
                models.write_cached(hub, repository)
    link = host.home / "spark-vllm-docker"
    if not link.is_symlink():
        link.symlink_to(launcher_directory(root))


def write_cluster(root: Path, places: Sequence[Place], port: int) -> None:
    """`sim.json`, read by the shims."""
    hosts = {
        p.name: {"address": p.address, "cluster_address": p.cluster_address, "port": p.port}
        for p in places
    }
    write_json(root / "sim.json", {"hosts": hosts, "engine_port": port, "simulated": True})
