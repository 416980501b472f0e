"""The settings of the gateway, and of those who use it without a key. Pure."""

from typing import Literal

from pydantic import Field

from server.config.words import AT_START, ModelName, Section


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
