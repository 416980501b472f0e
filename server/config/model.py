"""The schema of `config.yaml`: every key, its type, default, bounds and meaning."""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationInfo,
    field_validator,
    model_validator,
)

HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
ADDRESS = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:-]{0,252}[A-Za-z0-9])?")
ALLOWED_HOST = re.compile(rf"{ADDRESS.pattern}|\*")
USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
CONTAINER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
IMAGE = re.compile(r"(?!.*(\.\.|//))[a-z0-9][A-Za-z0-9._:/@-]{0,254}")
LABEL = re.compile(r"[a-z0-9]([a-z0-9._-]{0,62})")
HEALTH_PATH = re.compile(r"/[A-Za-z0-9._~/?=&%-]{0,500}")
MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}")
INTERFACES = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9_.:@-]{0,31}(,[A-Za-z0-9][A-Za-z0-9_.:@-]{0,31}){0,7}"
)


def _matching(pattern: re.Pattern[str], what: str, use: str) -> AfterValidator:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(f"is not a valid {what}: use {use}")
        return value

    return AfterValidator(check)


def _absolute(value: str) -> str:
    path = PurePosixPath(value)
    if not value.startswith("/") or ".." in path.parts or str(path) != value:
        raise ValueError("must be an absolute, normalised path without '..' or a trailing slash")
    if not value.isprintable():
        raise ValueError("holds a character that cannot be seen")
    return value


def _web_address(value: str) -> str:
    """It becomes an `href`: no `javascript:`, no password in it, nothing that cannot be seen."""
    use = "use an address like http://spark-2:3000/path"
    if not value.isascii() or not value.isprintable() or set(value) & set(" \"'<>`\\"):
        raise ValueError(f"holds a character that an address cannot have: {use}")
    try:
        parts = urlsplit(value)
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname)
        named = parts.username is not None or parts.password is not None
        _ = parts.port
    except ValueError:
        sound = named = False
    if not sound:
        raise ValueError(f"is not a web address: {use}")
    if named:
        raise ValueError(f"holds a user or password, which everybody would see: {use}")
    return value


def _visible(value: str) -> str:
    if not value.isprintable():
        raise ValueError("holds a character that cannot be seen")
    return value


HostName = Annotated[
    str, _matching(HOST_NAME, "name", "lower-case letters, digits and inner hyphens, at most 63")
]
Address = Annotated[
    str, _matching(ADDRESS, "host name or IP address", "a DNS name or an address, no user or port")
]
UserName = Annotated[
    str, _matching(USER, "user name", "lower-case letters, digits, '_' and '-', at most 32")
]
ContainerName = Annotated[
    str, _matching(CONTAINER, "container name", "letters, digits, '_', '.' and '-', at most 128")
]
ImageRef = Annotated[
    str, _matching(IMAGE, "image reference", "a form like registry/name:tag or name@sha256:digest")
]
Label = Annotated[
    str, _matching(LABEL, "label", "lower-case letters, digits, '.', '_' and '-', at most 63")
]
Interfaces = Annotated[
    str, _matching(INTERFACES, "interface list", "interface names separated by commas")
]
AllowedHost = Annotated[str, _matching(ALLOWED_HOST, "DNS name", "a name like spark.example, or *")]
HealthPath = Annotated[str, _matching(HEALTH_PATH, "path", "an absolute path like /health")]
ModelName = Annotated[
    str, _matching(MODEL_NAME, "model name", "letters, digits and . _ : / @ + -, at most 200")
]
Port = Annotated[int, Field(ge=1, le=65535)]
WebAddress = Annotated[str, Field(max_length=500), AfterValidator(_web_address)]
LinkName = Annotated[str, Field(min_length=1, max_length=60), AfterValidator(_visible)]
RemotePath = Annotated[str, AfterValidator(_absolute)]


AT_START: dict[str, JsonValue] = {"restart": True}
"""Marks a setting that is read once, at the start. All others take effect when they are saved."""


class Section(BaseModel):
    """Base of every group of settings: immutable, and an unknown key is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_switch_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """YAML reads `yes` as a switch, and Python takes a switch for the number 1: refuse it."""
        if isinstance(value, bool) and info.field_name is not None:
            annotation = cls.model_fields[info.field_name].annotation
            if annotation is not bool:
                raise ValueError("is a yes/no value: write what is meant, in quotes if it is text")
        return value


class Host(Section):
    """A Spark."""

    name: HostName = Field(description="How the host is called here, on pages and in the API.")
    address: Address = Field(
        description="DNS name or IP address for SSH and for the engine's HTTP."
    )
    port: Port = Field(default=22, description="Port of its SSH server.")
    user: UserName = Field(default="ubuntu", description="SSH user; must be able to use docker.")
    cluster_address: Address | None = Field(
        default=None, description="Its address on the fast link between Sparks."
    )
    labels: tuple[Label, ...] = Field(
        default=(), description="Free labels; the first host labelled `llm` runs one-node models."
    )


class Engine(Section):
    """How models are started."""

    launcher: Literal["docker", "launch-cluster", "bare"] = Field(
        default="docker",
        description="What starts one-node models; a model may name its own. "
        "Models of several nodes use launch-cluster.",
    )
    image: ImageRef = Field(default="vllm-node", description="Container image with vLLM.")
    container: ContainerName = Field(
        default="spark-control-engine", description="Name of the engine's container."
    )
    port: Port = Field(default=8000, description="Port the engine serves HTTP on.")
    model_roots: tuple[RemotePath, ...] = Field(
        default=(), description="Directories on the hosts where local-path models may live."
    )
    hf_home: RemotePath | None = Field(
        default=None,
        description="Hugging Face cache on the hosts; empty: `~/.cache/huggingface`.",
    )
    default_host: HostName | None = Field(
        default=None,
        description="Where one-node models run; empty: the first host labelled `llm`.",
    )
    launch_cluster_dir: RemotePath | None = Field(
        default=None, description="Checkout with `launch-cluster.sh` on the head node."
    )
    eth_if: Interfaces | None = Field(
        default=None, description="Ethernet interface given to launch-cluster; empty: it detects."
    )
    ib_if: Interfaces | None = Field(
        default=None,
        description="InfiniBand interfaces given to launch-cluster; empty: it detects.",
    )
    bare_venv: RemotePath | None = Field(
        default=None,
        description="Virtual environment whose `bin/vllm` the bare launcher runs; empty: PATH.",
    )
    drain_seconds: float = Field(
        default=30, ge=0, le=3600, description="How long open requests may finish before a swap."
    )
    stop_seconds: float = Field(
        default=10, ge=0, le=600, description="How long an engine may take to stop before a kill."
    )
    memory_wait_seconds: float = Field(
        default=60,
        ge=0,
        le=600,
        description="How long to wait until a stopped engine's memory is back.",
    )
    start_seconds: float = Field(
        default=1800, ge=1, le=86400, description="How long the start command may take."
    )
    no_progress_seconds: float = Field(
        default=600,
        ge=1,
        le=86400,
        description="A load without any progress for this long has failed.",
    )
    answer_seconds: float = Field(
        default=300, ge=1, le=3600, description="How long the first real answer may take."
    )
    host_lost_seconds: float = Field(
        default=120,
        ge=1,
        le=86400,
        description="How long a swap waits for a host that went silent.",
    )
    guard_bytes: int = Field(
        default=1 << 30,
        ge=0,
        le=1 << 40,
        description="A loading engine is killed below this much available memory; 0: never.",
    )
    on_death: Literal["restart", "rollback", "none"] = Field(
        default="restart", description="What to do when an engine dies while serving."
    )
    restart_limit: int = Field(
        default=3, ge=0, le=100, description="Restarts of a dead engine within ten minutes."
    )
    max_models: int = Field(
        default=1,
        ge=1,
        le=16,
        description="Models served at once, where memory allows; above it the one that was "
        "unused longest goes first.",
    )
    overlap: Literal["auto", "never"] = Field(
        default="auto",
        description="`auto`: when a new model fits beside the one it replaces, it is loaded first "
        "and the traffic moves when it answers; `never`: the old one always goes first.",
    )


class Link(Section):
    """A page elsewhere that the dashboard leads to, such as Open WebUI."""

    name: LinkName = Field(description="What the link says.")
    url: WebAddress = Field(description="Where it leads; http or https.")


AUDIO_KINDS = frozenset({"asr", "diarize"})
AUDIO_DEFAULT = 2
AUDIO_CEILING = 3


class Service(Section):
    """A service beside the engine: voice, embeddings, vector store."""

    name: HostName = Field(description="How the service is called here, on pages and in the API.")
    kind: Literal[
        "asr", "tts", "embeddings", "rerank", "diarize", "qdrant", "llm", "web", "other"
    ] = Field(description="What it does; decides which requests are sent to it.")
    host: HostName = Field(description="Name of the host it runs on.")
    port: Port = Field(description="Port it serves on.")
    scheme: Literal["http", "https"] = Field(default="http", description="How it is spoken to.")
    container: ContainerName | None = Field(
        default=None, description="Its container, for logs, start and stop."
    )
    ssh_user: UserName | None = Field(
        default=None, description="SSH user for its container; empty: the host's user."
    )
    health_path: HealthPath | None = Field(
        default=None,
        description="Path that answers 2xx when healthy; empty: the usual one of its kind.",
    )
    max_in_flight: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="Requests it gets at once; empty: 2 for `asr` and `diarize` (which take at "
        "most 3), no bound for the other kinds.",
    )
    models: tuple[ModelName, ...] = Field(
        default=(),
        description="Names of `model` that it answers to; empty: any, when no other service "
        "claims the name. Services that share a kind and a name are replicas.",
    )
    model_sent: ModelName | None = Field(
        default=None,
        description="Name of the model that it is sent; empty: the one the caller asked for.",
    )
    path_prefix: HealthPath | None = Field(
        default=None, description="Path put in front of every request to it, like /api."
    )
    links: tuple[Link, ...] = Field(
        default=(),
        max_length=20,
        description="Pages of its own that the dashboard leads to, each with `name` and `url`.",
    )

    @model_validator(mode="after")
    def _audio_has_a_ceiling(self) -> "Service":
        """Audio containers run out of memory on a fourth long file, whatever a sweep finds."""
        if self.kind in AUDIO_KINDS and (self.max_in_flight or 0) > AUDIO_CEILING:
            raise ValueError(
                f"max_in_flight is {self.max_in_flight}, and a service of kind {self.kind} takes "
                f"at most {AUDIO_CEILING} at once: use 1 to {AUDIO_CEILING}"
            )
        return self

    @property
    def cap(self) -> int | None:
        """Requests it gets at once; None: no bound."""
        if self.max_in_flight is not None:
            return self.max_in_flight
        return AUDIO_DEFAULT if self.kind in AUDIO_KINDS else None


class Gateway(Section):
    """The OpenAI-compatible address for programs."""

    max_upload_mb: int = Field(
        default=512, ge=1, le=1 << 20, description="Largest request body, in MiB."
    )
    queue_seconds: float = Field(
        default=900,
        ge=0,
        le=86400,
        description="How long a request may wait for its model or its turn; then 503.",
    )
    queue_limit: int = Field(
        default=1000,
        ge=0,
        le=100_000,
        description="Requests that may wait at once for one model or kind of service; then 429.",
    )
    client_in_flight: int | None = Field(
        default=256,
        ge=1,
        le=10_000,
        description="Requests one key, or one address without a key, is let in with at once; "
        "the rest of its requests wait. `null`: no bound.",
    )
    auto_swap: bool = Field(
        default=True,
        description="Whether asking for a model that is not loaded swaps it in. A model or a key "
        "may say otherwise.",
    )
    batch_seconds: float = Field(
        default=60,
        ge=0,
        le=86400,
        description="How long requests for the loaded model may go first while others wait for "
        "another model: the longest wait before its swap begins.",
    )
    residency_seconds: float = Field(
        default=10,
        ge=0,
        le=86400,
        description="How long a model stays after it was loaded before a request for another one "
        "may replace it.",
    )
    default_model: ModelName | None = Field(
        default=None, description="Model to return to when another one has been idle."
    )
    default_after_seconds: float = Field(
        default=600,
        ge=1,
        le=30 * 86400,
        description="How long another model must have been idle before the default returns.",
    )
    bridge: ModelName | None = Field(
        default=None,
        description="Name of a served model or an `llm` service that answers chat requests while "
        "their model is being loaded (the answer says so in `X-Spark-Bridge`). Empty: they wait.",
    )
    keepalive_seconds: float = Field(
        default=10,
        ge=1,
        le=600,
        description="Time between two comments sent to a waiting caller that asked for a stream.",
    )
    head_seconds: float = Field(
        default=600,
        ge=1,
        le=86400,
        description="How long an engine or service may take until its answer begins, counted from "
        "the end of the request; then 504. OpenAI's clients wait as long.",
    )
    stream_head_seconds: float = Field(
        default=120,
        ge=1,
        le=86400,
        description="The same for streams, which begin before their first token, and for what is "
        "answered quickly (embeddings, rerank, tokenize, voices).",
    )
    socket_accept_seconds: float = Field(
        default=5,
        ge=0,
        le=600,
        description="How long a WebSocket may wait for its turn before it is accepted, so that its "
        "client does not give up; it hears where it stands then.",
    )
    socket_idle_seconds: float = Field(
        default=300,
        ge=0,
        le=86400,
        description="How long a WebSocket may carry no message in either direction (pings are "
        "none); then it is closed and its place is free. 0: no bound.",
    )
    socket_seconds: float = Field(
        default=0,
        ge=0,
        le=30 * 86400,
        description="How long a WebSocket may be open at all. 0: no bound.",
    )
    require_key: bool = Field(
        default=False, description="Whether every request to the gateway needs an API key."
    )
    upstream_client: Literal["pooled", "aiohttp"] = Field(
        default="pooled",
        description="What speaks to engines and services: our own pool, or aiohttp to fall back "
        "on. Read at the start.",
        json_schema_extra=AT_START,
    )
    fast_lane: bool = Field(
        default=True,
        description="Whether plain requests take the short way from the client's connection to the "
        "engine's, at half the CPU. Needs `upstream_client: pooled`. The answers are the same.",
    )
    cache_mb: int = Field(
        default=0,
        ge=0,
        le=1 << 20,
        description="Disk space for answers of repeated embeddings and transcriptions, in MiB; "
        "0: nothing is kept.",
    )
    cache_seconds: float = Field(
        default=7 * 86400, ge=1, le=365 * 86400, description="How long a kept answer is good."
    )


class Anonymous(Section):
    """Callers of the gateway without an API key, each address for itself. Empty: no limit."""

    requests_per_minute: int | None = Field(
        default=None, ge=1, le=1_000_000, description="Requests in any 60 seconds; then 429."
    )
    tokens_per_minute: int | None = Field(
        default=None,
        ge=1,
        le=10**12,
        description="Tokens a minute. They are known at the end of an answer: the next request "
        "waits until what went over is made up.",
    )
    tokens_per_day: int | None = Field(
        default=None, ge=1, le=10**12, description="Tokens a day (UTC)."
    )
    audio_seconds_per_minute: float | None = Field(
        default=None,
        gt=0,
        le=10**9,
        description="Seconds of audio a minute. Like tokens they are known when they were sent; 60 "
        "is one voice without a pause.",
    )
    audio_seconds_per_day: float | None = Field(
        default=None, gt=0, le=10**9, description="Seconds of audio a day (UTC)."
    )
    max_in_flight: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="Requests let in at once; the rest waits. Empty: `gateway.client_in_flight`.",
    )


class Audio(Section):
    """Speech and speakers."""

    max_diarize_seconds: float = Field(
        default=7200,
        ge=1,
        le=7 * 86400,
        description="Longest recording that is diarized (not used yet).",
    )


class Auth(Section):
    """Who may use the dashboard and the JSON API."""

    mode: Literal["open", "password"] = Field(
        default="open",
        description="`open`, for a trusted LAN or VPN; `password`: browsers log in, programs send "
        "an API key with the scope read or admin.",
    )


class Web(Section):
    """How browsers reach the app."""

    allowed_hosts: tuple[AllowedHost, ...] = Field(
        default=(),
        description="Public DNS names under which browsers reach the app, or `*`; local names "
        "always may.",
    )


class Fleet(Section):
    """How the hosts are watched."""

    sample_seconds: float = Field(
        default=1.0, ge=0.2, le=60, description="Time between two samples of a host."
    )
    keep_minutes: int = Field(
        default=60, ge=1, le=24 * 60, description="How long samples are kept, in memory."
    )
    stale_seconds: float = Field(
        default=10, ge=1, le=3600, description="A host without a sample for this long is unknown."
    )


class Backups(Section):
    """Scheduled backups of Spark Control itself, in the folder `backups` of the data directory."""

    every_hours: float = Field(
        default=24, ge=0, le=24 * 366, description="Time between two of them; 0: none are made."
    )
    keep_daily: int = Field(
        default=7,
        ge=1,
        le=366,
        description="Of how many days, of those that have one, the newest is kept.",
    )
    keep_weekly: int = Field(
        default=4, ge=0, le=520, description="Of how many weeks the newest is kept as well."
    )


class Log(Section):
    """What is logged."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info",
        description="The least important lines that are written. Read at the start.",
        json_schema_extra=AT_START,
    )
    format: Literal["auto", "json", "pretty"] = Field(
        default="auto",
        description="`auto`: pretty on a terminal, else JSON. Read at the start.",
        json_schema_extra=AT_START,
    )


class Settings(Section):
    """All of `config.yaml`, plus nothing. Cross-checks between sections live here."""

    hosts: tuple[Host, ...] = Field(default=(), description="The Sparks.")
    engine: Engine = Engine()
    services: tuple[Service, ...] = Field(default=(), description="The services beside the engine.")
    links: tuple[Link, ...] = Field(
        default=(), max_length=50, description="Pages elsewhere that the dashboard leads to."
    )
    gateway: Gateway = Gateway()
    anonymous: Anonymous = Anonymous()
    audio: Audio = Audio()
    auth: Auth = Auth()
    web: Web = Web()
    fleet: Fleet = Fleet()
    backup: Backups = Backups()
    log: Log = Log()

    @model_validator(mode="after")
    def _names_agree(self) -> "Settings":
        problems = disagreements(self.model_dump())
        if problems:
            raise ValueError(
                "; ".join(f"{'.'.join(map(str, where))} {what}" for where, what in problems)
            )
        return self

    def host(self, name: str) -> Host | None:
        return next((host for host in self.hosts if host.name == name), None)


Where = tuple[str | int, ...]


def disagreements(body: Mapping[str, Any]) -> list[tuple[Where, str]]:
    """Mistakes between sections of settings not yet validated, each with the setting that is wrong.

    Tolerates any shape: what is malformed is another check's to report.
    """
    names = {name for _, name in _texts(body.get("hosts"), "name")}
    problems: list[tuple[Where, str]] = []
    for section in ("hosts", "services"):
        seen: set[str] = set()
        for index, name in _texts(body.get(section), "name"):
            if name in seen:
                problems.append(((section, index, "name"), f"{name!r} is used twice: rename one"))
            seen.add(name)
    wanted: list[tuple[Where, str]] = [
        (("services", index, "host"), host) for index, host in _texts(body.get("services"), "host")
    ]
    wanted += [
        (("engine", "default_host"), host)
        for _, host in _texts([body.get("engine")], "default_host")
    ]
    known = ", ".join(sorted(names)) or "none yet"
    problems += [
        (where, f"names the host {host!r}, which is not under hosts (known: {known})")
        for where, host in wanted
        if host not in names
    ]
    return problems


def _texts(items: Any, key: str) -> list[tuple[int, str]]:
    """(index, value of `key`) of every item that has one which is text."""
    if not isinstance(items, list | tuple):
        return []
    return [
        (index, item[key].strip())
        for index, item in enumerate(items)
        if isinstance(item, Mapping) and isinstance(item.get(key), str)
    ]
