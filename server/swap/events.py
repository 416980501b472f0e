"""Events (what happened) and effects (what the driver is to do) of the swap machine."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from server.launch.model import Engine, LaunchSpec
from server.swap.model import Deployment, SwapError

# ---- events: what happened -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Admitted:
    """Its turn came. `previous` is what serves now; `already` when it is the very same spec."""

    previous: Deployment | None
    already: bool = False


@dataclass(frozen=True, slots=True)
class Checked:
    """Preflight looked; each finding is `Finding.to_dict()`."""

    findings: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Drained:
    """No request of the old model is in flight, or the drain time is over (`cut` were left)."""

    cut: int = 0


@dataclass(frozen=True, slots=True)
class Stopped:
    """Every engine of ours on the hosts is gone and its memory is back."""


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
    """Preflight. Answers Checked or Broke."""


@dataclass(frozen=True, slots=True)
class Drain:
    """Stop admitting, wait for requests in flight. Answers Drained."""


@dataclass(frozen=True, slots=True)
class StopAll:
    """Stop every engine of ours on the hosts of both specs, await the memory. Answers Stopped."""


@dataclass(frozen=True, slots=True)
class Start:
    """Start `spec` tagged `tag`, or adopt the engine that bears it. Answers Started or Broke."""

    spec: LaunchSpec
    tag: str


@dataclass(frozen=True, slots=True)
class Restore:
    """Adopt the engine that bears `tag` if it runs; else clear the hosts and start the spec again.

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
    """Remove every engine of ours that bears `tag`. Answers Discarded or Broke."""

    spec: LaunchSpec
    tag: str


@dataclass(frozen=True, slots=True)
class Serve:
    """At once: this is served now (None: nothing is), and saved as such with the record."""

    deployment: Deployment | None


@dataclass(frozen=True, slots=True)
class Hold:
    """At once: the gateway admits nothing to the old engine any more."""


@dataclass(frozen=True, slots=True)
class Admit:
    """At once: the old engine was not touched; the gateway admits to it again."""


Effect = Check | Drain | StopAll | Start | Restore | Watch | Prove | Discard | Serve | Hold | Admit
IMMEDIATE = (Serve, Hold, Admit)
