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
Mode = Literal["replace", "beside", "overlap"]
"""How a new engine comes in: after the evicted ones went, beside all others, or beside the evicted
ones until it answers."""


@dataclass(frozen=True, slots=True)
class Use:
    """How much a served model is wanted now: what the choice of whom to evict goes by."""

    in_flight: int = 0
    idle_seconds: float = 0.0
    waiting: int = 0


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

    `model` None means unload: of `unloads`, or of all when that is None too. `target` is None for
    an unload. `previous` is what was shown as served when the swap began. `evicted` is what goes
    for it. `touched`: they were told to stop. `comebacks` is what a rollback proves or restores,
    one after another: it is done with `restored` of them, and `lost` some. `fixed` keeps the target
    where it was (a restart after a death). `log_lines` is how many lines its log has had.
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
    evicted: tuple[Deployment, ...] = ()
    mode: Mode = "replace"
    restored: int = 0
    lost: tuple[str, ...] = ()
    touched: bool = False
    unloads: str | None = None
    fixed: bool = False
    log_lines: int = 0

    @property
    def previous_model(self) -> str | None:
        """The first that goes for it; when none goes, what was shown before."""
        first = self.evicted[0] if self.evicted else self.previous
        return first.spec.model if first else self.unloads

    @property
    def comebacks(self) -> tuple[Deployment, ...]:
        """What must answer before a rollback may say so: what was stopped; else what was not."""
        if self.evicted or self.touched or self.previous is None:
            return self.evicted
        return (self.previous,)

    @property
    def evicted_models(self) -> tuple[str, ...]:
        return tuple(gone.spec.model for gone in self.evicted)

    def with_(self, **changes: Any) -> "SwapRecord":
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """The public shape (docs/api.md)."""
        return {
            "id": self.id,
            "model": self.model,
            "previous_model": self.previous_model,
            "evicted": list(self.evicted_models),
            "mode": self.mode,
            "unloads": self.unloads,
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
            "log_lines": self.log_lines,
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
            "evicted": [gone.to_dict() for gone in self.evicted],
            "restored": self.restored,
            "lost": list(self.lost),
            "touched": self.touched,
            "fixed": self.fixed,
            "engine": self.engine.to_dict() if self.engine else None,
        }

    @classmethod
    def from_saved(cls, body: Mapping[str, Any]) -> "SwapRecord":
        def moment(name: str) -> datetime | None:
            return parse_iso(body[name]) if body.get(name) else None

        target, previous, engine = body["target"], body["previous"], body["engine"]
        # Before there was a layout, what was served was what went.
        evicted = body.get("evicted", [previous] if previous else [])
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
            evicted=tuple(Deployment.from_dict(gone) for gone in evicted),
            mode=body.get("mode", "replace"),
            restored=body.get("restored", 0),
            lost=tuple(body.get("lost", ())),
            touched=body.get("touched", True),
            unloads=body.get("unloads"),
            fixed=body.get("fixed", False),
            log_lines=body.get("log_lines", 0),
        )


@dataclass(frozen=True, slots=True)
class Past:
    """Which swaps of the history are wanted; empty: all. `before` is the id of one that is newer
    than they are."""

    before: str = ""
    states: frozenset[State] = frozenset()
    model: str = ""


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
