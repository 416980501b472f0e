"""Models that lie on the hosts and are not in the catalog: offered, never added by themselves.

`discover` asks one host with one remote command. `offers` is pure: what several hosts said, without
what the catalog has, one row per model with the hosts that hold it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from server.base.errors import RemoteCommandFailed
from server.catalog.model import Catalog
from server.catalog.paths import check_local_path
from server.catalog.probe import DISCOVER
from server.catalog.report import read_config
from server.catalog.text import bad_repo
from server.ssh.model import Shell

DEADLINE = 60.0
_UNSERVED = re.compile(
    r"sentence|whisper|clip|wav2vec|speecht5|vits|bark|encodec|audio_spectrogram"
)


@dataclass(frozen=True, slots=True)
class Found:
    """A model on one host. `refused` says why it cannot be added as it is, empty when it can.

    `bytes` are all its files, `weight_bytes` those that an engine loads. `config` is the
    `config.json`, None when it was too large to be sent or cannot be read.
    """

    host: str
    kind: Literal["hf", "path"]
    ref: str
    bytes: int | None
    complete: bool | None
    model_type: str | None
    refused: str = ""
    weight_bytes: int | None = None
    config: Mapping[str, Any] | None = field(default=None, hash=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as it is remembered. The config is shared, not copied: it is only read."""
        return {
            "host": self.host,
            "kind": self.kind,
            "ref": self.ref,
            "bytes": self.bytes,
            "complete": self.complete,
            "model_type": self.model_type,
            "refused": self.refused,
            "source": {self.kind: self.ref},
            "weight_bytes": self.weight_bytes,
            "config": self.config,
        }

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> "Found":
        source = row.get("source") or {}
        kind: Literal["hf", "path"] = "path" if source.get("path") else "hf"
        return cls(
            host=row.get("host", ""),
            kind=kind,
            ref=source.get(kind) or "",
            bytes=row.get("bytes"),
            complete=row.get("complete"),
            model_type=row.get("model_type"),
            refused=row.get("refused", ""),
            weight_bytes=row.get("weight_bytes"),
            config=row.get("config"),
        )


async def discover(
    shell: Shell, roots: Sequence[str], hf_home: str | None, *, deadline: float = DEADLINE
) -> list[Found]:
    """All models of one host. Raises what the shell raises, and when the answer breaks off."""
    argv = ["sh", "-s", "--", hf_home or "", *roots]
    result = await shell.run(argv, deadline=deadline, stdin=DISCOVER.encode(), check=False)
    lines = result.stdout.splitlines()
    host = shell.target.name
    if not lines or not lines[-1].startswith("end\t"):
        raise RemoteCommandFailed(
            f"{host} did not finish the scan for models.",
            exit_status=result.exit_status,
            stderr=result.stderr,
            source=host,
        )
    return read_found(lines, host, roots)


def read_found(lines: Iterable[str], host: str, roots: Sequence[str]) -> list[Found]:
    """The answer of the script. A line that cannot be read is left out."""
    rows: list[Found] = []
    for line in lines:
        tag, _, rest = line.partition("\t")
        parts = rest.split("\t", 2)
        if tag == "config" and rows and rows[-1].config is None:
            rows[-1] = _with_config(rows[-1], rest)
        elif tag == "weights" and rows and rest.isdigit():
            rows[-1] = replace(rows[-1], weight_bytes=int(rest))
        elif tag in {"hf", "path"} and len(parts) == 3 and parts[0].isdigit():
            rows.append(_found(host, "hf" if tag == "hf" else "path", parts, roots))
    return rows


def _found(host: str, kind: Literal["hf", "path"], parts: list[str], roots: Sequence[str]) -> Found:
    size, unfinished, name = parts
    ref = name.replace("--", "/", 1) if kind == "hf" else re.sub("/+", "/", name)
    problem = bad_repo(ref) if kind == "hf" else check_local_path(ref, roots)
    complete = False if unfinished.strip() != "0" else None
    return Found(host, kind, ref, int(size), complete, None, problem or "")


def _with_config(row: Found, encoded: str) -> Found:
    config = read_config(encoded)
    kind = (config or {}).get("model_type")
    text = kind if isinstance(kind, str) and len(kind) <= 64 and kind.isascii() else None
    return replace(row, model_type=text, config=config)


def offers(found: Iterable[Found], catalog: Catalog) -> list[dict[str, Any]]:
    """One row per model that is not in the catalog, largest first, ready for `add`."""
    known = {model.source.ref for model in catalog.models.values()}
    rows: dict[tuple[str, str], list[Found]] = {}
    for item in found:
        if item.ref not in known:
            rows.setdefault((item.kind, item.ref), []).append(item)
    taken = {*catalog.models, *(a for m in catalog.models.values() for a in m.aliases)}
    result = []
    for (kind, ref), items in rows.items():
        name = _free_id(ref, taken)
        taken.add(name)
        result.append(_row(name, kind, ref, items))
    return sorted(result, key=lambda row: (-(row["bytes"] or 0), row["ref"]))


def _row(name: str, kind: str, ref: str, items: list[Found]) -> dict[str, Any]:
    first = max(items, key=lambda item: item.bytes or 0)
    model_type = next((item.model_type for item in items if item.model_type), None)
    return {
        "suggested_id": name,
        "name": ref.rsplit("/", 1)[-1],
        "kind": kind,
        "ref": ref,
        "source": {kind: ref},
        "bytes": first.bytes,
        "model_type": model_type,
        "likely_served": not (model_type and _UNSERVED.search(model_type)),
        "refused": first.refused,
        "hosts": [
            {"host": item.host, "bytes": item.bytes, "complete": item.complete} for item in items
        ],
    }


def _free_id(ref: str, taken: set[str]) -> str:
    stem = re.sub(r"[^a-z0-9._-]+", "-", ref.rsplit("/", 1)[-1].lower()).strip("-._")
    stem = re.sub(r"\.\.+", ".", stem)[:56] or "model"
    name, number = stem, 2
    while name in taken:
        name, number = f"{stem}-{number}", number + 1
    return name
