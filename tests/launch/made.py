"""Specs and models for the tests of this room."""

from typing import Any

from server.launch.model import LaunchSpec, Node


def spec(**changes: Any) -> LaunchSpec:
    made: dict[str, Any] = {
        "model": "tiny",
        "served_names": ("tiny", "small"),
        "source": "org/tiny",
        "local_path": False,
        "launcher": "docker",
        "nodes": (Node("spark-1", "192.0.2.11", "198.51.100.11"),),
        "image": "vllm-node",
        "container": "spark-control-engine",
        "port": 8000,
        "argv": ("vllm", "serve", "org/tiny", "--port", "8000"),
        "env": (),
        "mounts": (),
        "options": (),
        "fingerprint": "f1",
    }
    return LaunchSpec(**(made | changes))
