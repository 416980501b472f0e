"""What is remembered of hosts and files, put together for the arithmetic of `catalog.homes`.

From memory only: the newest samples, the last scans, the layout. A figure of a host that does not
answer now is left out, and so is what nobody told.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from server.base.errors import SparkError
from server.base.health import Health
from server.catalog.homes import Outlook, Spot, Stored, nowhere, outlook
from server.catalog.model import Model
from server.config.model import Settings
from server.fleet.model import HostStatus, Sample
from server.launch.plan import groups
from server.swap.model import Serving
from server.web.parts import Parts


class Fitting:
    """Made once per page or answer: what many models are judged by is gathered once."""

    def __init__(self, parts: Parts) -> None:
        self._settings: Settings = parts.settings.current
        catalog = parts.catalog.snapshot()
        pinned = frozenset(model.id for model in catalog.models.values() if model.pinned)
        layout = parts.swaps.layout()
        self._spots = {
            status.name: spot(status, layout, pinned) for status in parts.fleet.statuses()
        }
        self._found: dict[str, list[Stored]] = {}
        for row in parts.discovery.found():
            ref, one = stored(row)
            if ref:
                self._found.setdefault(ref, []).append(one)

    def files(self, model: Model) -> tuple[Stored, ...]:
        """On which hosts the last scans found it."""
        return tuple(self._found.get(model.source.ref, ()))

    def outlook(self, model: Model) -> Outlook:
        if not self._settings.hosts:
            return Outlook("unknown", "There is no host yet.")
        try:
            hosts = groups(model, self._settings)
        except SparkError as error:
            return nowhere(f"{error.message}.".replace("..", "."))
        spots = [[self._spot(node.host) for node in group] for group in hosts]
        return outlook(model, spots, self.files(model))

    def _spot(self, host: str) -> Spot:
        return self._spots.get(host) or Spot(host, None, None)


def spot(status: HostStatus, layout: Sequence[Serving], pinned: frozenset[str]) -> Spot:
    """How much memory a machine has does not age; what is free there does."""
    sample = status.last
    if sample is None:
        return Spot(status.name, None, None)
    seen = status.verdict.health is Health.UP
    here = [one for one in layout if status.name in _hosts(one)]
    return Spot(
        status.name,
        sample.memory.total,
        sample.memory.available if seen else None,
        tuple(
            (one.model, held(one, sample, alone=len(here) == 1))
            for one in here
            if one.model not in pinned
        ),
    )


def held(serving: Serving, sample: Sample, *, alone: bool) -> int | None:
    """What the GPU processes of an engine hold there, told by its container. Where it stands
    `alone` on the host, processes of no container are its own as well (a bare engine has none, and
    some hosts do not tell), as the preflight takes them."""
    deployment = serving.deployment
    name = deployment.spec.container
    idents = {one.id for one in sample.containers or () if one.name == name}
    idents.add(deployment.engine.ident)
    mine = [
        process.used_bytes
        for gpu in sample.gpus
        for process in gpu.processes
        if (any(_same(process.container, one) for one in idents) if process.container else alone)
    ]
    known = [amount for amount in mine if amount is not None]
    return sum(known) if known and len(known) == len(mine) else None


def _same(one: str, other: str) -> bool:
    """Container ids, either of which may be shortened."""
    return bool(one and other) and (one.startswith(other) or other.startswith(one))


def _hosts(serving: Serving) -> tuple[str, ...]:
    return tuple(node.host for node in serving.deployment.spec.nodes)


def stored(row: Mapping[str, Any]) -> tuple[str, Stored]:
    """A row of the discovery: what it is called, and what lies there."""
    source = row.get("source") or {}
    ref = str(source.get("hf") or source.get("path") or "")
    return ref, Stored(
        host=str(row.get("host", "")),
        bytes=row.get("bytes"),
        weight_bytes=row.get("weight_bytes"),
        complete=row.get("complete"),
        config=row.get("config"),
    )
