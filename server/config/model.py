"""The schema of `config.yaml`: every key, its type, default, bounds and meaning."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import (
    Field,
    model_validator,
)

from server.config.gateway import Anonymous, Gateway
from server.config.words import (
    AT_START,
    Address,
    AllowedHost,
    ContainerName,
    HealthPath,
    HostName,
    ImageRef,
    Interfaces,
    Label,
    LinkName,
    ModelName,
    Port,
    RemotePath,
    Section,
    UserName,
    WebAddress,
)


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
    dialect: Literal["auto", "openai", "speaches", "parakeet", "nim", "kokoro"] = Field(
        default="auto",
        description="How a service of speech speaks; `auto`: by what it answers. The others say "
        "beforehand what it can do, which saves a request that it would refuse.",
    )
    native_stream: bool = Field(
        default=False,
        description="Whether a service of kind `asr` answers WebSockets at `/v1/audio/stream` and "
        "`/v1/realtime` itself; they are passed on to it then. Else live streams are answered "
        "here, and it hears them in windows.",
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


class Audio(Section):
    """Speech and speakers."""

    max_transcribe_seconds: float = Field(
        default=36000,
        ge=1,
        le=7 * 86400,
        description="Longest recording that is transcribed or translated.",
    )
    max_diarize_seconds: float = Field(
        default=7200,
        ge=1,
        le=7 * 86400,
        description="Longest recording in which speakers are told apart.",
    )
    long_seconds: float = Field(
        default=600,
        ge=10,
        le=86400,
        description="A longer recording is cut at silences and heard in parts.",
    )
    part_seconds: float = Field(
        default=300, ge=10, le=3600, description="About how long such a part is."
    )
    overlap_seconds: float = Field(
        default=2, ge=2, le=30, description="By how much two neighbouring parts overlap."
    )
    speaker_distance: float = Field(
        default=0.35,
        ge=0.05,
        le=1.5,
        description="How far apart (1 - cosine) two embeddings of the diarizer may be for the "
        "voices of two parts to be one person. It depends on the diarizer.",
    )
    max_recordings: int = Field(
        default=4,
        ge=1,
        le=64,
        description="Recordings that are heard in parts or converted at once; others wait.",
    )
    spool_mb: int = Field(
        default=8192,
        ge=64,
        le=10**7,
        description="Space in the data directory that all recordings under way may take (MiB).",
    )
    echo: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="Whether words that the microphone heard of the loudspeaker are looked for by "
        "their sound, where a recording has both channels; `auto`: when there is an echo.",
    )
    referee: ModelName = Field(
        default="off",
        description="Who is asked who said what sound alone does not settle: `off`, `auto` (the "
        "model that is served) or the name of a model. None is loaded for it.",
    )
    referee_seconds: float = Field(
        default=20, ge=1, le=600, description="How long that may take for one recording."
    )
    max_streams: int = Field(
        default=1000,
        ge=1,
        le=100_000,
        description="Live streams that Spark Control answers itself at once, those included whose "
        "client may still come back.",
    )
    stream_step_seconds: float = Field(
        default=2,
        ge=0.5,
        le=10,
        description="How much new speech of a live stream is heard at a time. Less: words sooner, "
        "and more work for the recogniser.",
    )
    stream_window_seconds: float = Field(
        default=12,
        ge=6,
        le=15,
        description="The longest stretch of a live stream that a recogniser is asked for.",
    )
    stream_buffer_seconds: float = Field(
        default=30,
        ge=20,
        le=300,
        description="Sound of a live stream that is kept for a recogniser that is behind; what "
        "is older is dropped, and its client is told. A second takes 32 kB of memory.",
    )
    stream_resume_seconds: float = Field(
        default=30,
        ge=0,
        le=3600,
        description="How long a live stream whose connection dropped can be taken up again. 0: it "
        "cannot.",
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
