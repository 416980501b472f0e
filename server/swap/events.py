"""Events (what happened) and effects (what the driver is to do) of the swap machine."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from server.launch.model import Engine, LaunchSpec
from server.swap.model import Deployment, Mode, SwapError

# ---- events: what happened -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Admitted:
    """Its turn came. `previous` is what serves now (the newest); `already` when it is the very same
    spec. `evicted` is what an unload is to end."""

    previous: Deployment | None
    already: bool = False
    evicted: tuple[Deployment, ...] = ()


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the target goes and who goes for it: what `swap.placing` decided."""

    target: LaunchSpec
    evicted: tuple[Deployment, ...] = ()
    mode: Mode = "replace"


@dataclass(frozen=True, slots=True)
class Checked:
    """Preflight looked; each finding is `Finding.to_dict()`."""

    findings: tuple[Mapping[str, Any], ...]
    placement: Placement


@dataclass(frozen=True, slots=True)
class Drained:
    """No request of the old model is in flight, or the drain time is over (`cut` were left)."""

    cut: int = 0


@dataclass(frozen=True, slots=True)
class Stopped:
    """Every engine that was to go is gone and its memory is back."""


@dataclass(frozen=True, slots=True)
class StepBegan:
    """A part of the running node began on a host, for the history."""

    name: str
    host: str


@dataclass(frozen=True, slots=True)
class Started:
    engine: Engine


@dataclass(frozen=True, slots=True)
class Advanced:
    """Progress inside a node. `percent` is of the whole swap, 0…100."""

    stage: str
    percent: float | None = None
    eta_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Healthy:
    """`/health` answers 200."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A real streamed answer came. `max_model_len` as the engine tells it."""

    max_model_len: int | None = None


@dataclass(frozen=True, slots=True)
class Discarded:
    """Nothing of the failed attempt is left on the hosts."""


@dataclass(frozen=True, slots=True)
class Broke:
    """The running effect failed: command, deadline, death of the engine, lost host, guard."""

    error: SwapError


@dataclass(frozen=True, slots=True)
class CancelAsked:
    by: str


Event = (
    Admitted
    | Checked
    | Drained
    | Stopped
    | StepBegan
    | Started
    | Advanced
    | Healthy
    | Answered
    | Discarded
    | Broke
    | CancelAsked
)


# ---- effects: what the driver is to do --------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Check:
    """Decide where it goes, and preflight there. Answers Checked or Broke."""


@dataclass(frozen=True, slots=True)
class Drain:
    """Wait for the requests in flight on these models. Answers Drained."""

    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StopAll:
    """Stop every engine of ours on the hosts of the target and of the evicted, but those of the
    layout that stay; await the memory. Answers Stopped or Broke."""


@dataclass(frozen=True, slots=True)
class Retire:
    """Stop these engines and nothing else. Answers Stopped or Broke."""

    evicted: tuple[Deployment, ...]


@dataclass(frozen=True, slots=True)
class Start:
    """Start `spec` tagged `tag`, or adopt the engine that bears it. Answers Started or Broke."""

    spec: LaunchSpec
    tag: str


@dataclass(frozen=True, slots=True)
class Restore:
    """Adopt the engine that bears `tag` if it runs; else clear its hosts of all but what stays, and
    start the spec again.

    The original engine is never adopted here: it may be dying of a stop that we sent.
    """

    previous: Deployment
    tag: str


@dataclass(frozen=True, slots=True)
class Watch:
    """Follow the log until `/health` is 200. Answers Advanced…, then Healthy or Broke."""

    spec: LaunchSpec
    engine: Engine


@dataclass(frozen=True, slots=True)
class Prove:
    """Ask for one streamed answer. Answers Answered or Broke."""

    spec: LaunchSpec
    engine: Engine


@dataclass(frozen=True, slots=True)
class Discard:
    """Remove what was started of `spec`, and nothing of the layout that stays. Answers Discarded
    or Broke."""

    spec: LaunchSpec
    tag: str


@dataclass(frozen=True, slots=True)
class Serve:
    """At once: `drop` is not served any more, `deployment` is; saved as such with the record."""

    deployment: Deployment | None = None
    drop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hold:
    """At once: the gateway admits nothing to these any more."""

    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Admit:
    """At once: these were not touched; the gateway admits to them again."""

    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tell:
    """At once: a notice for people, of what went wrong without failing the swap."""

    message: str
    advice: str = ""


Effect = (
    Check
    | Drain
    | StopAll
    | Retire
    | Start
    | Restore
    | Watch
    | Prove
    | Discard
    | Serve
    | Hold
    | Admit
    | Tell
)
IMMEDIATE = (Serve, Hold, Admit, Tell)
