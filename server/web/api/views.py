"""How things are drawn as JSON where they are made of several parts. Pure of IO: memory only."""

from collections.abc import Mapping
from typing import Any

from server.base.clock import iso
from server.catalog.changes import version_of
from server.catalog.model import Catalog, Model
from server.config.model import Host, Service
from server.gateway.admission.model import Snapshot
from server.gateway.listing import state_of
from server.ssh.model import Target
from server.swap.log import SwapLog
from server.swap.model import SwapRecord
from server.web.fitting import Fitting
from server.web.parts import Parts


def target(host: Host, user: str | None = None) -> Target:
    return Target(host.name, host.address, host.port, user or host.user)


def host_view(parts: Parts, host: Host) -> dict[str, Any]:
    """The settings of a host and what is known of it now."""
    known = {status.name: status for status in parts.fleet.statuses()}.get(host.name)
    refused = parts.hostkeys.refused(host.name)
    body = host.model_dump(mode="json")
    body |= (
        known.to_dict()
        if known is not None
        else {"health": "unknown", "reason": "not looked at yet", "seen_at": None, "sample": None}
    )
    body["host_key_change"] = (
        None if refused is None else {"pinned": refused.old, "offered": refused.new}
    )
    return body


def service_view(parts: Parts, service: Service) -> dict[str, Any]:
    """The settings of a service, its health, what it is doing, and what was done to it last."""
    known = {status.name: status for status in parts.fleet.services()}.get(service.name)
    body = service.model_dump(mode="json")
    body |= known.to_dict() if known else {"health": "unknown", "reason": "not probed yet"}
    act = parts.acts.now(service.name) if parts.acts else None
    return body | load_of(parts.admission(), service.name) | {"act": act.to_dict() if act else None}


def load_of(snapshot: Snapshot, service: str) -> dict[str, int | None]:
    """Requests it answers now, and those that wait for it or for one of its kind. None: not known
    to the gateway."""
    here = next((one for one in snapshot.upstreams if one.name == service), None)
    pools = [pool for pool in snapshot.pools if service in pool.upstreams]
    return {
        "in_flight": here.in_flight if here else None,
        "waiting": sum(pool.waiting for pool in pools) if pools else None,
    }


def waiting(parts: Parts) -> list[SwapRecord]:
    """The running swap, then the queued ones."""
    current = parts.swaps.current()
    return [*([current] if current else []), *parts.swaps.queue()]


def model_view(parts: Parts, model: Model) -> dict[str, Any]:
    return model.to_dict() | {
        "state": state_of(model.id, parts.swaps.layout(), waiting(parts)),
        "version": version_of(model),
    }


def whole_model(parts: Parts, model: Model, fitting: Fitting | None = None) -> dict[str, Any]:
    """With what takes arithmetic: whether it fits, and where its files are."""
    fitting = fitting or Fitting(parts)
    return model_view(parts, model) | {
        "fit": fitting.outlook(model).to_dict(),
        "files": [one.to_dict() for one in fitting.files(model)],
    }


def models_view(parts: Parts, catalog: Catalog) -> dict[str, Any]:
    fitting = Fitting(parts)
    return {
        "models": [whole_model(parts, model, fitting) for model in catalog.models.values()],
        "hidden": list(catalog.hidden),
        "problems": [problem.to_dict() for problem in catalog.problems],
        "version": catalog.version,
    }


def layout_view(parts: Parts) -> list[dict[str, Any]]:
    """All that is served, oldest first."""
    return [serving.to_dict() for serving in parts.swaps.layout()]


def log_view(record: SwapRecord, log: SwapLog, after: int, most: int) -> dict[str, Any]:
    """The lines from `after` on. `next` is where to go on; `first` the oldest that is kept."""
    return {
        "id": record.id,
        "state": record.state.value,
        "run": log.run,
        "first": log.first,
        "next": log.next,
        "lines": [line.to_dict() for line in log.after(after, most)],
    }


def serving_view(parts: Parts) -> dict[str, Any] | None:
    """The newest of the layout."""
    serving = parts.swaps.serving()
    return None if serving is None else serving.to_dict()


def undiscovered(parts: Parts) -> list[Mapping[str, Any]]:
    """Models found on the hosts whose source no entry of the catalog has."""
    sources = [model.source for model in parts.catalog.snapshot().models.values()]
    taken = {source.ref for source in sources}
    rows = [one for one in parts.discovery.found() if _ref(one) not in taken]
    return [{key: value for key, value in row.items() if key != "config"} for row in rows]


def _ref(found: Mapping[str, Any]) -> str | None:
    source = found.get("source", found)
    return (source.get("hf") or source.get("path")) if isinstance(source, Mapping) else None


def snapshot(parts: Parts) -> dict[str, Any]:
    """The first message of the event stream: how everything is now."""
    settings = parts.settings.current
    current = parts.swaps.current()
    sweep = None if parts.sweeps is None else parts.sweeps.current()
    return {
        "at": iso(parts.clock.now()),
        "hosts": [host_view(parts, host) for host in settings.hosts],
        "services": [service_view(parts, service) for service in settings.services],
        "models": [model_view(parts, one) for one in parts.catalog.snapshot().models.values()],
        "serving": serving_view(parts),
        "layout": layout_view(parts),
        "swap": None if current is None else current.to_dict(),
        "queue": [record.to_dict() for record in parts.swaps.queue()],
        "jobs": [
            *([{"job": "sweep"} | sweep.to_dict()] if sweep else []),
            *(
                {"job": "service"} | act.to_dict()
                for act in (parts.acts.running() if parts.acts else ())
            ),
        ],
    }
