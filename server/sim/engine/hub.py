"""The Hugging Face cache as a container or a host sees it, and the simulated download into it.

Owns where a repository is looked for and what a download prints. Refuses the network: what is
"downloaded" is a tiny model that is made up on the spot, in the layout of the real cache.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from server.sim import models
from server.sim.engine.directory import LoadError
from server.sim.layout import HostDir

Say = Callable[[str], None]


def hub_directory(inside: Callable[[str], Path]) -> Path:
    """HF_HUB_CACHE, HF_HOME or the default, mapped by `inside` from the path the engine sees."""
    environment = os.environ
    home = environment.get("HF_HOME") or f"{_home()}/.cache/huggingface"
    return inside(environment.get("HF_HUB_CACHE") or f"{home}/hub")


def _home() -> str:
    """HOME as the engine sees it: inside a container that is not where it lies on this machine."""
    return os.environ.get("SIM_HOME") or os.environ["HOME"]


def snapshot(hub: Path, repository: str, revision: str = "main") -> Path | None:
    """The snapshot a revision points to, when it is in the cache."""
    root = models.cached(hub, repository)
    reference = root / "refs" / revision
    name = reference.read_text().strip() if reference.exists() else revision
    found = root / "snapshots" / name
    return found if (found / "config.json").exists() else None


async def fetch(hub: Path, repository: str, host: HostDir, say: Say) -> Path:
    """The snapshot, downloaded when it is absent. Raises LoadError as huggingface_hub would."""
    _refuse(repository)
    wanted = models.files(repository)
    root = models.cached(hub, repository)
    place = root / "snapshots" / models.revision_of(repository)
    for part in (root / "blobs", root / "refs", place):
        part.mkdir(parents=True, exist_ok=True)
    total = len(wanted)
    say(f"Fetching {total} files:   0%|          | 0/{total} [00:00<?, ?it/s]")
    for done, (name, body) in enumerate(wanted.items(), start=1):
        partial = root / "blobs" / f"{models.revision_of(name)}.incomplete"
        partial.write_bytes(body[: len(body) // 2])
        told = host.scenario
        if told.disk_full:
            raise LoadError("OSError", "[Errno 28] No space left on device")
        await asyncio.sleep(told.download_seconds / total)
        partial.unlink()
        models.put_blob(root, place, name, body)
        bar = "█" * (10 * done // total)
        say(
            f"Fetching {total} files: {100 * done // total:3d}%|{bar:<10}| {done}/{total} "
            f"[00:{done:02d}<00:{total - done:02d},  1.00it/s]"
        )
    (root / "refs" / "main").write_text(models.revision_of(repository))
    return place


def _refuse(repository: str) -> None:
    """The answers of huggingface.co that are no download."""
    url = f"https://huggingface.co/{repository}/resolve/main/config.json"
    if os.environ.get("HF_HUB_OFFLINE", "0") not in ("0", ""):
        raise LoadError(
            "huggingface_hub.errors.LocalEntryNotFoundError",
            "Cannot find an appropriate cached snapshot folder for the specified revision on the "
            "local disk and outgoing traffic has been disabled.",
        )
    if "does-not-exist" in repository:
        raise LoadError(
            "huggingface_hub.errors.RepositoryNotFoundError",
            f"404 Client Error. Repository Not Found for url: {url}.",
        )
    gated = repository.startswith("meta-llama/")
    if gated and not (os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN")):
        raise LoadError(
            "huggingface_hub.errors.GatedRepoError",
            f"401 Client Error. Cannot access gated repo for url {url}. Access to model "
            f"{repository} is restricted. You must have access to it and be authenticated to "
            "access it. Please log in.",
        )
