"""The answer of the inspecting script -> `ModelFiles`. Pure.

What the host did not say is None, never False: an answer that breaks off, or a file that may not be
read, leaves `complete` unknown.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from server.catalog.model import Model, ModelFiles

_NUMBERED = re.compile(r"(.*)-(\d{5})-of-(\d{5})(\..*)?\.safetensors")


@dataclass(slots=True)
class Report:
    """The tags of one answer, gathered."""

    tags: dict[str, list[str]] = field(default_factory=dict)
    sizes: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    """name -> (size, inode, length the header asks for, '?' or 'broken')"""

    def all(self, tag: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.tags.get(tag, ())))

    def one(self, tag: str) -> str | None:
        return next(iter(self.tags.get(tag, ())), None)


def gather(lines: Iterable[str]) -> Report:
    report = Report()
    for line in lines:
        tag, _, rest = line.partition("\t")
        parts = rest.split("\t", 3)
        if tag in {"shard", "other"} and len(parts) == 4 and parts[0].isdigit():
            report.sizes[parts[3]] = (int(parts[0]), parts[1], parts[2])
        elif tag:
            report.tags.setdefault(tag, []).append(rest)
    return report


def read_config(encoded: str | None) -> Mapping[str, Any] | None:
    """`config.json` as sent by the host, or None when it is no JSON object."""
    if encoded is None:
        return None
    try:
        value = json.loads(base64.b64decode(encoded, validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return None
    return MappingProxyType(value) if isinstance(value, dict) else None


def read_report(lines: Iterable[str], host: str, model: Model) -> ModelFiles:
    """What is there of the model, and whether it is all there."""
    report = gather(lines)
    if report.one("end") is None:
        return ModelFiles(host, True, None, reason=f"{host} did not finish the answer")
    partial = report.all("partial")
    absent = report.one("absent")
    if absent is not None:
        return ModelFiles(host, False, False, partial=partial, reason=_absent(host, model, partial))
    elsewhere = report.one("elsewhere")
    if elsewhere is not None:
        reason = f"on {host} it really lies in {elsewhere}, outside the allowed directories"
        return ModelFiles(
            host, True, False, path=report.one("dir"), outside=(elsewhere,), reason=reason
        )
    config = read_config(report.one("config"))
    missing = (*report.all("missing"), *_unnumbered(report))
    truncated = tuple(name for name, row in report.sizes.items() if not _whole(name, row))
    complete, reason = _verdict(report, config, missing, truncated)
    return ModelFiles(
        host=host,
        found=True,
        complete=complete,
        path=report.one("real"),
        weight_bytes=_weight_bytes(report),
        config=config,
        missing=tuple(dict.fromkeys(missing)),
        partial=partial,
        truncated=truncated,
        outside=report.all("outside"),
        reason=f"on {host} {reason}" if reason else "",
    )


def _absent(host: str, model: Model, partial: tuple[str, ...]) -> str:
    if model.source.path is not None:
        return f"{model.source.path} does not exist on {host}"
    if partial:
        return f"the download of {model.source.hf} on {host} was not finished; it goes on at start"
    return f"{model.source.hf} is not in the cache of {host} yet; it is downloaded at start"


def _weight_bytes(report: Report) -> int | None:
    """Each file once, however many names lead to it."""
    once = {inode: size for size, inode, _ in report.sizes.values()}
    return sum(once.values()) if once else None


def _whole(name: str, row: tuple[int, str, str]) -> bool:
    size, _, wanted = row
    if size == 0 or wanted == "broken":
        return False
    return not wanted.isdigit() or int(wanted) == size


def _unnumbered(report: Report) -> list[str]:
    """Without an index: the siblings that `model-00001-of-00004.safetensors` promises."""
    if report.one("index") is not None:
        return []
    wanted: set[str] = set()
    for name in report.sizes:
        match = _NUMBERED.fullmatch(name)
        if match and int(match[3]) <= 4096:
            stem, count, tail = match[1], match[3], match[4] or ""
            wanted |= {
                f"{stem}-{number:05d}-of-{count}{tail}.safetensors"
                for number in range(1, int(count) + 1)
            }
    return sorted(wanted - set(report.sizes))


def _verdict(
    report: Report,
    config: Mapping[str, Any] | None,
    missing: tuple[str, ...],
    truncated: tuple[str, ...],
) -> tuple[bool | None, str]:
    """(complete, the most important reason). What may not be read makes it unknown."""
    outside, unreadable = report.all("outside"), report.all("unreadable")
    unread = config is None
    checks: tuple[tuple[object, bool | None, str], ...] = (
        (outside, False, f"{_some(outside)} lead out of the allowed directories"),
        (missing, False, f"{_some(missing)} are missing"),
        (truncated, False, f"{_some(truncated)} do not have the length their header says"),
        (report.one("broken_index"), False, f"{report.one('broken_index')} breaks off"),
        (unreadable, None, f"{_some(unreadable)} may not be read"),
        (not report.sizes, False, "there are no weights"),
        (unread and report.one("config_large"), None, "config.json is too large to be read"),
        (unread and report.one("config"), False, "config.json is not JSON"),
        (unread and not report.one("params"), False, "config.json is missing"),
        (not report.one("tokenizer"), False, "there is no tokenizer"),
    )
    return next(((whole, text) for found, whole, text in checks if found), (True, ""))


def _some(names: tuple[str, ...]) -> str:
    head = ", ".join(names[:3])
    return f"{head} and {len(names) - 3} more" if len(names) > 3 else head
