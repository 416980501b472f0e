"""The inner states of a swap and what the world sees of each."""

import re
from collections.abc import Mapping
from enum import StrEnum

from server.swap.model import State


class Node(StrEnum):
    """The inner states. `STATE_OF` maps each to what the world sees."""

    QUEUED = "queued"
    PREFLIGHT = "preflight"
    CONFIRMING = "confirming"
    DRAINING = "draining"
    STOPPING = "stopping"
    STARTING = "starting"
    LOADING = "loading"
    WARMING = "warming"
    RELIEVING = "relieving"
    RETIRING = "retiring"
    RB_STOPPING = "rb_stopping"
    RB_STARTING = "rb_starting"
    RB_LOADING = "rb_loading"
    RB_WARMING = "rb_warming"
    RB_CLEANING = "rb_cleaning"
    SERVING = "serving"
    UNLOADED = "unloaded"
    ROLLED_BACK = "rolled_back"
    FAILED = "failed"
    CANCELLED = "cancelled"


STATE_OF: Mapping[Node, State] = {
    Node.QUEUED: State.QUEUED,
    Node.PREFLIGHT: State.PREFLIGHT,
    Node.CONFIRMING: State.WARMING,
    Node.DRAINING: State.DRAINING,
    Node.STOPPING: State.STOPPING,
    Node.STARTING: State.STARTING,
    Node.LOADING: State.LOADING,
    Node.WARMING: State.WARMING,
    Node.RELIEVING: State.DRAINING,
    Node.RETIRING: State.STOPPING,
    Node.RB_STOPPING: State.ROLLING_BACK,
    Node.RB_STARTING: State.ROLLING_BACK,
    Node.RB_LOADING: State.ROLLING_BACK,
    Node.RB_WARMING: State.ROLLING_BACK,
    Node.RB_CLEANING: State.ROLLING_BACK,
    Node.SERVING: State.SERVING,
    Node.UNLOADED: State.UNLOADED,
    Node.ROLLED_BACK: State.ROLLED_BACK,
    Node.FAILED: State.FAILED,
    Node.CANCELLED: State.CANCELLED,
}

STAGE_OF: Mapping[Node, str] = {
    Node.QUEUED: "waiting for its turn",
    Node.PREFLIGHT: "checking hosts, files and memory",
    Node.CONFIRMING: "already loaded: asking it for an answer",
    Node.DRAINING: "letting running requests finish",
    Node.STOPPING: "stopping the engine and waiting for its memory",
    Node.STARTING: "starting the engine",
    Node.LOADING: "loading",
    Node.WARMING: "waiting for the first answer",
    Node.RELIEVING: "the new model serves; letting the old one's requests finish",
    Node.RETIRING: "the new model serves; stopping the old engine",
    Node.RB_STOPPING: "removing the engine that failed",
    Node.RB_STARTING: "starting the previous model again",
    Node.RB_LOADING: "loading the previous model again",
    Node.RB_WARMING: "asking the previous model for an answer",
    Node.RB_CLEANING: "removing what is left",
    Node.SERVING: "serving",
    Node.UNLOADED: "unloaded",
    Node.ROLLED_BACK: "the previous model is serving again",
    Node.FAILED: "failed",
    Node.CANCELLED: "cancelled",
}

UNTOUCHED = frozenset({Node.QUEUED, Node.PREFLIGHT, Node.CONFIRMING, Node.DRAINING})
"""Nodes in which the previous engine has not been touched yet."""

RELIEF = frozenset({Node.RELIEVING, Node.RETIRING})
"""The new engine has answered and serves; only the end of the old one is left."""

ROLLBACK = frozenset(
    {Node.RB_STOPPING, Node.RB_STARTING, Node.RB_LOADING, Node.RB_WARMING, Node.RB_CLEANING}
)

FINAL_NODES = frozenset(node for node, state in STATE_OF.items() if state.final)


_ROLLBACK_TAG = re.compile(r"(.+)-rb(\d*)")


def rollback_tag(swap_id: str, number: int = 0) -> str:
    """The tag of the engine that a rollback starts as its `number`: told apart from the one that
    failed, and from the others that it starts."""
    return f"{swap_id}-rb{number or ''}"


def swap_of(tag: str) -> tuple[str, int | None]:
    """The swap that started the engine of this tag, and as which number of its rollback."""
    found = _ROLLBACK_TAG.fullmatch(tag)
    if found is None:
        return tag, None
    return found[1], int(found[2] or 0)
