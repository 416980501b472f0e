"""Frozen values of the swap room: the record, saved before every effect, and what is served."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from server.base.clock import iso, parse_iso
from server.base.health import Verdict
from server.launch.model import Engine, LaunchSpec

OnConflict = Literal["queue", "replace", "reject"]


class State(StrEnum):
    """What the world sees. The last five are final. `unloaded` ends an unload."""

    QUEUED = "queued"
    PREFLIGHT = "preflight"
    DRAINING = "draining"
    STOPPING = "stopping"
    STARTING = "starting"
    LOADING = "loading"
    WARMING = "warming"
    ROLLING_BACK = "rolling_back"
    SERVING = "serving"
    UNLOADED = "unloaded"
    ROLLED_BACK = "rolled_back"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        return self in FINAL


FINAL = frozenset({State.SERVING, State.UNLOADED, State.ROLLED_BACK, State.FAILED, State.CANCELLED})


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step: `state` is running, done, failed or cancelled; `seconds` None while running."""

    name: str
    host: str | None
    state: str
    began_at: datetime
    seconds: float | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "host": self.host,
            "state": self.state,
            "seconds": self.seconds,
            "began_at": iso(self.began_at),
        }

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> "StepRecord":
        return cls(
            body["name"], body["host"], body["state"], parse_iso(body["began_at"]), body["seconds"]
        )


@dataclass(frozen=True, slots=True)
class SwapError:
    """Why a swap did not end in `serving`; `cause` and `advice` from the failure signatures."""

    code: str
    message: str
    cause: str = ""
    advice: str = ""
    log_excerpt: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "message": self.message,
            "cause": self.cause,
            "advice": self.advice,
            "log_excerpt": self.log_excerpt,
        }


@dataclass(frozen=True, slots=True)
class Deployment:
    """A spec and the engine that runs it. `proven_at` is when it last answered for real."""

    spec: LaunchSpec
    engine: Engine
    proven_at: datetime | None = None
    max_model_len: int | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "spec": self.spec.to_dict(),
            "engine": self.engine.to_dict(),
            "proven_at": iso(self.proven_at),
            "max_model_len": self.max_model_len,
        }

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> "Deployment":
        proven = body.get("proven_at")
        return cls(
            LaunchSpec.from_dict(body["spec"]),
            Engine.from_dict(body["engine"]),
            parse_iso(proven) if proven else None,
            body.get("max_model_len"),
        )


@dataclass(frozen=True, slots=True)
class SwapRecord:
    """One swap, whole. `node` is the inner state of `swap.machine`; `state` is what it shows.

    `model` None means unload. `target` is None for an unload. `previous` is what was serving when
    the swap began to touch anything, and what a rollback restores.
    """

    id: str
    model: str | None
    node: str
    state: State
    created_at: datetime
    requested_by: str
    target: LaunchSpec | None = None
    previous: Deployment | None = None
    engine: Engine | None = None
    force: bool = False
    cancelled_by: str | None = None
    stage: str = ""
    percent: float = 0.0
    eta_seconds: float | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    steps: tuple[StepRecord, ...] = ()
    error: SwapError | None = None
    findings: tuple[Mapping[str, Any], ...] = ()

    @property
    def previous_model(self) -> str | None:
        return self.previous.spec.model if self.previous else None

    def with_(self, **changes: Any) -> "SwapRecord":
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """The public shape (docs/api.md)."""
        return {
            "id": self.id,
            "model": self.model,
            "previous_model": self.previous_model,
            "state": self.state.value,
            "stage": self.stage,
            "percent": round(self.percent, 1),
            "eta_seconds": None if self.eta_seconds is None else round(self.eta_seconds, 1),
            "requested_by": self.requested_by,
            "created_at": iso(self.created_at),
            "started_at": iso(self.started_at),
            "finished_at": iso(self.finished_at),
            "cancelled_by": self.cancelled_by,
            "steps": [step.to_dict() for step in self.steps],
            "error": self.error.to_dict() if self.error else None,
            "findings": [dict(finding) for finding in self.findings],
        }

    def to_saved(self) -> dict[str, Any]:
        """The shape in the database: the public one and everything needed to resume."""
        return self.to_dict() | {
            "node": self.node,
            "percent": self.percent,
            "eta_seconds": self.eta_seconds,
            "force": self.force,
            "target": self.target.to_dict() if self.target else None,
            "previous": self.previous.to_dict() if self.previous else None,
            "engine": self.engine.to_dict() if self.engine else None,
        }

    @classmethod
    def from_saved(cls, body: Mapping[str, Any]) -> "SwapRecord":
        def moment(name: str) -> datetime | None:
            return parse_iso(body[name]) if body.get(name) else None

        target, previous, engine = body["target"], body["previous"], body["engine"]
        return cls(
            id=body["id"],
            model=body["model"],
            node=body["node"],
            state=State(body["state"]),
            created_at=parse_iso(body["created_at"]),
            requested_by=body["requested_by"],
            target=LaunchSpec.from_dict(target) if target else None,
            previous=Deployment.from_dict(previous) if previous else None,
            engine=Engine.from_dict(engine) if engine else None,
            force=body["force"],
            cancelled_by=body["cancelled_by"],
            stage=body["stage"],
            percent=body["percent"],
            eta_seconds=body["eta_seconds"],
            started_at=moment("started_at"),
            finished_at=moment("finished_at"),
            steps=tuple(StepRecord.from_dict(step) for step in body["steps"]),
            error=SwapError(**body["error"]) if body["error"] else None,
            findings=tuple(body["findings"]),
        )


@dataclass(frozen=True, slots=True)
class Serving:
    """What the gateway routes to: an immutable snapshot, replaced as a whole.

    `accepting` is False while the engine is drained before a swap.
    """

    model: str
    names: tuple[str, ...]
    base_url: str
    since: datetime
    deployment: Deployment
    max_model_len: int | None = None
    accepting: bool = True
    health: Verdict = field(default_factory=Verdict.up)

    def to_dict(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "names": list(self.names),
            "host": self.deployment.engine.host,
            "hosts": [node.host for node in self.deployment.spec.nodes],
            "launcher": self.deployment.spec.launcher,
            "since": iso(self.since),
            "max_model_len": self.max_model_len,
            "accepting": self.accepting,
            "health": self.health.health.value,
            "reason": self.health.reason,
        }
