"""Whether a model fits: now, once room is made, or never. Pure.

Owns the answer a person wants before pressing Swap, from what is remembered of the hosts and of the
files on them, for every group of hosts that may take the model (a home). The sums are `fit`'s.
Refuses to guess: what was not told makes the answer `unknown`, unless what is known is too much
already. The preflight of a swap asks the hosts anew and has the last word.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from server.base.units import size
from server.catalog.fit import Fit, fit
from server.catalog.model import Model

Answer = Literal["now", "would", "cannot", "unknown"]
_ORDER: Mapping[Answer, int] = MappingProxyType({"now": 0, "would": 1, "unknown": 2, "cannot": 3})


@dataclass(frozen=True, slots=True)
class Spot:
    """One host as it was last seen. None: not told, or too long ago. `held` is what the engines
    that a swap may stop hold there, by model."""

    host: str
    total: int | None
    available: int | None
    held: tuple[tuple[str, int | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Stored:
    """A model's files on one host, as the last scan found them. `complete` False: some are missing;
    None: nothing speaks against it. `config` is the parsed `config.json`."""

    host: str
    bytes: int | None
    weight_bytes: int | None
    complete: bool | None
    config: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        return {"host": self.host, "bytes": self.bytes, "complete": self.complete}


@dataclass(frozen=True, slots=True)
class Home:
    """The answer for one group of hosts. `sheet` is the arithmetic that decided."""

    hosts: tuple[str, ...]
    answer: Answer
    summary: str
    sheet: Fit
    available: int | None
    total: int | None

    def to_dict(self) -> dict[str, Any]:
        sheet = self.sheet.to_dict()
        return {
            "hosts": list(self.hosts),
            "answer": self.answer,
            "summary": self.summary,
            "available_bytes": self.available,
            "total_bytes": self.total,
            **{key: value for key, value in sheet.items() if key != "verdict"},
        }


@dataclass(frozen=True, slots=True)
class Outlook:
    """The best answer of all homes, best home first."""

    answer: Answer
    summary: str
    homes: tuple[Home, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {
            "answer": self.answer,
            "summary": self.summary,
            "homes": [home.to_dict() for home in self.homes],
        }


def outlook(model: Model, homes: Sequence[Sequence[Spot]], stored: Sequence[Stored]) -> Outlook:
    """`homes` are the groups of hosts that may take the model, the preferred one first."""
    if not homes:
        return Outlook("unknown", "There is no host yet.")
    judged = [_home(model, spots, _files_for(spots, stored)) for spots in homes]
    judged.sort(key=lambda home: _ORDER[home.answer])
    best = judged[0]
    return Outlook(best.answer, best.summary, tuple(judged))


def nowhere(reason: str) -> Outlook:
    """There is no group of hosts that could take it, and why."""
    return Outlook("cannot", reason)


def _files_for(spots: Sequence[Spot], stored: Sequence[Stored]) -> Stored | None:
    """Of the first host of the home that has them, else of any other: the same files."""
    told = [one for one in stored if one.weight_bytes is not None]
    here = [one for spot in spots for one in told if one.host == spot.host]
    return next(iter([*here, *told]), None)


def _home(model: Model, spots: Sequence[Spot], files: Stored | None) -> Home:
    total = _least([spot.total for spot in spots])
    available = _least([spot.available for spot in spots])

    def against(free: int | None) -> Fit:
        config = files.config if files else None
        weights = files.weight_bytes if files else None
        return fit(config, weights, model.knobs, len(spots), total, free)

    def home(answer: Answer, summary: str, sheet: Fit) -> Home:
        if answer == "unknown" and files is None:
            summary = "It is on no host yet, so its size is not known."
        return Home(tuple(spot.host for spot in spots), answer, summary, sheet, available, total)

    where = " and ".join(spot.host for spot in spots)
    holders = tuple(dict.fromkeys(name for spot in spots for name, _ in spot.held))
    freed = _least([_freed(spot) for spot in spots])
    now = against(available)
    if model.id in holders:
        return home("now", f"It is being served on {where}.", against(freed))
    if _fits(now):
        return home("now", _sums(now, f"{size(available)} is free on {where}"), now)
    empty = against(total)
    if empty.verdict == "cannot":
        return home("cannot", _reason(empty), empty)
    if not _fits(empty):
        return home("unknown", _reason(empty), empty)
    if now.verdict == "unknown":
        return home("unknown", _reason(now), now)
    return home(
        "would",
        *_would(now, against(freed), where, holders=holders, freed=freed, available=available),
    )


def _would(
    now: Fit,
    after: Fit,
    where: str,
    *,
    holders: tuple[str, ...],
    freed: int | None,
    available: int | None,
) -> tuple[str, Fit]:
    """It fits into the machine, and not into what is free there now."""
    free = f"{size(available)} is free on {where}"
    going = " and ".join(holders)
    if holders and _fits(after):
        return _sums(after, f"{size(freed)} is free on {where} once {going} is unloaded"), after
    if holders and freed is None:
        text = f"{free}, and how much {going} would give back is not known"
        return _sums(now, text), now
    if holders:
        text = f"{size(freed)} is free on {where} once {going} is unloaded; stop something else too"
        return _sums(after, text), after
    return _sums(now, f"{free}: something has to be stopped there first"), now


def _fits(sheet: Fit) -> bool:
    return sheet.verdict in {"fits", "tight"}


def _sums(sheet: Fit, free: str) -> str:
    """`Weights 32.0 GiB + KV cache 8.0 GiB + overhead 4.1 GiB = 44.1 GiB; …`"""
    parts = (
        f"weights {size(sheet.weights_bytes)} + KV cache {size(sheet.kv_bytes)} + "
        f"overhead {size(sheet.reserve_bytes)} = {size(sheet.need_bytes)}"
    )
    taken = f"it takes {size(sheet.budget_bytes)}"
    return f"{parts[0].upper()}{parts[1:]}; {taken}, {free}."


def _reason(sheet: Fit) -> str:
    """The last line of a sheet is its verdict with the reason."""
    return sheet.lines[-1] if sheet.lines else "Nothing is known of it."


def _least(figures: Sequence[int | None]) -> int | None:
    """Of all nodes; None when one of them was not told."""
    known = [figure for figure in figures if figure is not None]
    return min(known) if known and len(known) == len(figures) else None


def _freed(spot: Spot) -> int | None:
    """What is free there once every engine that may go is gone."""
    amounts = [amount for _, amount in spot.held]
    if spot.available is None or any(amount is None for amount in amounts):
        return None
    freed = spot.available + sum(amount for amount in amounts if amount is not None)
    return freed if spot.total is None else min(freed, spot.total)
