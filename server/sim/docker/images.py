"""The images of a simulated host.

Owns which images exist and which can be pulled. Refuses layers: an image is a name and an id.
"""

import hashlib
from dataclasses import dataclass, field

from server.sim.docker.container import NVIDIA_ENTRYPOINT

VLLM_IMAGES = ("vllm-node:latest", "vllm-node-b12x:latest", "vllm-node-mxfp4:latest")
SERVICE_PREFIX = "simulated/"


def full(name: str) -> str:
    """A reference with its tag."""
    last = name.rpartition("/")[2]
    return name if ":" in last or "@" in last else f"{name}:latest"


def ident(name: str) -> str:
    return "sha256:" + hashlib.sha256(f"simulated image {full(name)}".encode()).hexdigest()


def entrypoint(name: str) -> tuple[str, ...]:
    if name.startswith(SERVICE_PREFIX):
        return ("simulated-service",)
    if name.startswith("vllm/vllm-openai"):
        return ("vllm", "serve")
    return (NVIDIA_ENTRYPOINT,)


@dataclass(slots=True)
class Images:
    """`names` are full references, in the order they came."""

    names: list[str] = field(default_factory=lambda: list(VLLM_IMAGES))

    def find(self, name: str) -> str | None:
        """By name, by id or by a prefix of the id."""
        wanted = full(name)
        if wanted in self.names:
            return wanted
        short = name.removeprefix("sha256:")
        if len(short) >= 6:
            for known in self.names:
                if ident(known).removeprefix("sha256:").startswith(short):
                    return known
        return None

    def pullable(self, name: str) -> bool:
        """Anything in somebody's namespace can be pulled, but what says that it is not there."""
        return "/" in name and "does-not-exist" not in name

    def describe(self, name: str) -> dict[str, object]:
        digest = ident(name + "-digest")
        repository = name.rpartition(":")[0]
        return {
            "Id": ident(name),
            "RepoTags": [name],
            "RepoDigests": [f"{repository}@{digest}"] if "/" in name else [],
            "Created": "2026-09-20T10:11:12.131415161Z",
            "Architecture": "arm64",
            "Os": "linux",
            "Size": 18_700_000_000,
            "Config": {
                "Entrypoint": list(entrypoint(name)),
                "Cmd": None,
                "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"],
                "Labels": {"simulated": "1"},
                "WorkingDir": "/workspace",
            },
        }
