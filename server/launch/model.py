"""Frozen values of the launch room: a `LaunchSpec` is everything needed to start a model again,
saved with the swap, so that later edits of the catalog never change what a rollback restores."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from server.base.errors import SparkError

LauncherName = Literal["docker", "launch-cluster", "bare"]


@dataclass(frozen=True, slots=True)
class Node:
    """A host that takes part: the first of a spec is the head, where HTTP is served."""

    host: str
    address: str
    cluster_address: str | None = None


@dataclass(frozen=True, slots=True)
class LaunchSpec:
    """What runs: `argv` is the full `vllm serve …`; `served_names` the id and the aliases.

    `fingerprint` is a sha256 over all that decides what runs (not over names for people).
    """

    model: str
    served_names: tuple[str, ...]
    source: str
    local_path: bool
    launcher: LauncherName
    nodes: tuple[Node, ...]
    image: str
    container: str
    port: int
    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    mounts: tuple[tuple[str, str, bool], ...]
    """(host path, container path, read only)"""
    options: tuple[tuple[str, str], ...]
    """launcher options: eth_if, ib_if, launch_cluster_dir, bare_venv, stop_seconds …"""
    fingerprint: str

    @property
    def head(self) -> Node:
        return self.nodes[0]

    @property
    def base_url(self) -> str:
        address = self.head.address
        return (
            f"http://[{address}]:{self.port}" if ":" in address else f"http://{address}:{self.port}"
        )

    def option(self, name: str, default: str = "") -> str:
        return next((value for key, value in self.options if key == name), default)

    def to_dict(self) -> dict[str, Any]:
        """JSON types only: every tuple becomes a list."""
        return {
            "model": self.model,
            "served_names": list(self.served_names),
            "source": self.source,
            "local_path": self.local_path,
            "launcher": self.launcher,
            "nodes": [asdict(node) for node in self.nodes],
            "image": self.image,
            "container": self.container,
            "port": self.port,
            "argv": list(self.argv),
            "env": [list(pair) for pair in self.env],
            "mounts": [list(mount) for mount in self.mounts],
            "options": [list(pair) for pair in self.options],
            "fingerprint": self.fingerprint,
        }

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> "LaunchSpec":
        return cls(
            model=body["model"],
            served_names=tuple(body["served_names"]),
            source=body["source"],
            local_path=body["local_path"],
            launcher=body["launcher"],
            nodes=tuple(Node(**node) for node in body["nodes"]),
            image=body["image"],
            container=body["container"],
            port=body["port"],
            argv=tuple(body["argv"]),
            env=tuple((key, value) for key, value in body["env"]),
            mounts=tuple((host, inside, only) for host, inside, only in body["mounts"]),
            options=tuple((key, value) for key, value in body["options"]),
            fingerprint=body["fingerprint"],
        )


@dataclass(frozen=True, slots=True)
class PlannedCommand:
    """One remote command as it will run: `argv` real, `shown` quoted with secrets redacted."""

    name: str
    host: str
    argv: tuple[str, ...]
    shown: str


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine of ours seen on its hosts. Identity is (`ident`, `started`): container id and
    StartedAt, or pid and start ticks; a recreated container is never mistaken for the old one.
    `tag` is the id of the swap that started it."""

    launcher: LauncherName
    host: str
    container: str
    ident: str
    started: str
    tag: str
    model: str
    fingerprint: str
    running: bool
    exit_code: int | None = None
    oom_killed: bool = False

    def same(self, other: "Engine") -> bool:
        return (self.host, self.ident, self.started) == (other.host, other.ident, other.started)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> "Engine":
        """Unknown keys of a newer version are left out; missing ones have their defaults."""
        names = {field.name for field in fields(cls)}
        return cls(**{key: value for key, value in body.items() if key in names})


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a load is, read from the log. `fraction` is 0…1 within `phase`, None when unknown."""

    phase: str
    """one of `launch.phases.PHASES`"""
    fraction: float | None
    detail: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What a failure signature says: stable `code`, one-sentence `cause`, `advice` = next step."""

    code: str
    cause: str
    advice: str


class LaunchFailed(SparkError):
    """A start ended badly. `step` names where; `output` is what the command said, redacted;
    `diagnosis` is the reason in words (also when there was no output to read one from)."""

    status = 502
    code = "launch_failed"

    def __init__(
        self,
        message: str,
        *,
        step: str,
        host: str,
        diagnosis: Diagnosis,
        output: str = "",
    ) -> None:
        super().__init__(message, advice=diagnosis.advice or None)
        self.step = step
        self.host = host
        self.output = output
        self.diagnosis = diagnosis
