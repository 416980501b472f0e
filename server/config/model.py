"""The schema of `config.yaml`. Unknown keys are mistakes; every bound is stated here and nowhere else."""

import re
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
ADDRESS = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:-]{0,252}[A-Za-z0-9])?")
USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
CONTAINER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
IMAGE = re.compile(r"[a-z0-9][A-Za-z0-9._:/@-]{0,254}")
LABEL = re.compile(r"[a-z0-9]([a-z0-9._-]{0,62})")


def _matching(pattern: re.Pattern[str], what: str) -> AfterValidator:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(f"is not a valid {what}: use only {pattern.pattern}")
        return value

    return AfterValidator(check)


def _absolute(value: str) -> str:
    path = PurePosixPath(value)
    if not value.startswith("/") or ".." in path.parts or "\0" in value or str(path) != value:
        raise ValueError("must be an absolute, normalised path without '..' or a trailing slash")
    return value


HostName = Annotated[str, _matching(HOST_NAME, "name")]
Address = Annotated[str, _matching(ADDRESS, "host name or IP address")]
UserName = Annotated[str, _matching(USER, "user name")]
ContainerName = Annotated[str, _matching(CONTAINER, "container name")]
ImageRef = Annotated[str, _matching(IMAGE, "image reference")]
Label = Annotated[str, _matching(LABEL, "label")]
Port = Annotated[int, Field(ge=1, le=65535)]
RemotePath = Annotated[str, AfterValidator(_absolute)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Host(Section):
    """A Spark. `cluster_address` is its address on the fast link between Sparks."""

    name: HostName
    address: Address
    port: Port = 22
    user: UserName = "ubuntu"
    cluster_address: Address | None = None
    labels: tuple[Label, ...] = ()


class Engine(Section):
    """How models are started."""

    launcher: Literal["docker", "launch-cluster", "bare"] = "docker"
    image: ImageRef = "vllm-node"
    container: ContainerName = "spark-control-engine"
    port: Port = 8000
    model_roots: tuple[RemotePath, ...] = ()
    hf_home: RemotePath | None = Field(
        default=None, description="HF cache on the hosts; default ~/.cache/huggingface"
    )
    default_host: HostName | None = Field(
        default=None, description="where one-node models run; default: first host labelled llm"
    )
    launch_cluster_dir: RemotePath | None = Field(
        default=None, description="checkout with launch-cluster.sh on the head node"
    )
    eth_if: str | None = None
    ib_if: str | None = None
    bare_venv: RemotePath | None = Field(
        default=None, description="venv whose bin/vllm the bare launcher runs; default: PATH"
    )
    drain_seconds: float = Field(default=30, ge=0, le=3600)
    stop_seconds: float = Field(default=10, ge=0, le=600)
    memory_wait_seconds: float = Field(default=60, ge=0, le=600)
    start_seconds: float = Field(default=1800, ge=1, le=86400)
    no_progress_seconds: float = Field(default=600, ge=1, le=86400)
    answer_seconds: float = Field(default=300, ge=1, le=3600)
    host_lost_seconds: float = Field(default=120, ge=1, le=86400)
    guard_bytes: int = Field(
        default=1 << 30, ge=0, description="kill a loading engine below this much available memory"
    )
    on_death: Literal["restart", "rollback", "none"] = "restart"
    restart_limit: int = Field(default=3, ge=0, le=100, description="restarts in ten minutes")


class Service(Section):
    """A service beside the engine: voice, embeddings, vector store."""

    name: HostName
    kind: Literal["asr", "tts", "embeddings", "rerank", "diarize", "qdrant", "llm", "web", "other"]
    host: HostName
    port: Port
    scheme: Literal["http", "https"] = "http"
    container: ContainerName | None = None
    ssh_user: UserName | None = None
    health_path: str | None = Field(default=None, pattern=r"^/[A-Za-z0-9._~/?=&%-]*$")
    max_in_flight: int | None = Field(default=None, ge=1, le=1024)


class Gateway(Section):
    max_upload_mb: int = Field(default=512, ge=1, le=1 << 20)
    queue_seconds: float = Field(default=900, ge=0, le=86400)
    auto_swap: bool = True


class Audio(Section):
    max_diarize_seconds: float = Field(default=7200, ge=1)


class Auth(Section):
    mode: Literal["open", "password"] = "open"


class Fleet(Section):
    sample_seconds: float = Field(default=1.0, ge=0.2, le=60)
    keep_minutes: int = Field(default=60, ge=1, le=24 * 60)
    stale_seconds: float = Field(default=10, ge=1, le=3600)


class Log(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "pretty"] = "auto"


class Settings(Section):
    """All of `config.yaml`, plus nothing. Cross-checks between sections live here."""

    hosts: tuple[Host, ...] = ()
    engine: Engine = Engine()
    services: tuple[Service, ...] = ()
    gateway: Gateway = Gateway()
    audio: Audio = Audio()
    auth: Auth = Auth()
    fleet: Fleet = Fleet()
    log: Log = Log()

    @model_validator(mode="after")
    def _names_agree(self) -> "Settings":
        problems: list[str] = []
        names = [host.name for host in self.hosts]
        problems += [f"hosts: two hosts are named {n!r}" for n in _twice(names)]
        problems += [
            f"services: two services are named {n!r}" for n in _twice([s.name for s in self.services])
        ]
        problems += [
            f"services.{s.name}.host: no host is named {s.host!r}"
            for s in self.services
            if s.host not in names
        ]
        wanted = self.engine.default_host
        if wanted is not None and wanted not in names:
            problems.append(f"engine.default_host: no host is named {wanted!r}")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def host(self, name: str) -> Host | None:
        return next((host for host in self.hosts if host.name == name), None)


def _twice(names: list[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})
