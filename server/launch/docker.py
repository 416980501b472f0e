"""The `docker` launcher's argv, the labels that make a container ours, and docker's JSON read back.

Pure. One node; `--network host`, no `--rm`, so that exit code and log outlive the engine.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from server.launch.model import Engine, LauncherName, LaunchSpec

OURS = "spark-control.engine"
TAG = "spark-control.tag"
MODEL = "spark-control.model"
FINGERPRINT = "spark-control.fingerprint"
LAUNCHER = "spark-control.launcher"

_UP = frozenset({"running", "paused", "restarting"})


def labels(spec: LaunchSpec, tag: str) -> tuple[tuple[str, str], ...]:
    return (
        (OURS, "1"),
        (TAG, tag),
        (MODEL, spec.model),
        (FINGERPRINT, spec.fingerprint),
        (LAUNCHER, spec.launcher),
    )


def mount(entry: tuple[str, str, bool]) -> str:
    """`host:container[:ro]`; a leading `~/` is expanded on the host, where home is known."""
    host, inside, read_only = entry
    return f"{host}:{inside}:ro" if read_only else f"{host}:{inside}"


def run_argv(spec: LaunchSpec, tag: str) -> tuple[str, ...]:
    """`docker run` of the engine. The log is bounded; nothing is pulled (see `remote.start`)."""
    words = ["docker", "run", "-d", "--name", spec.container, "--pull", "never"]
    words += ["--network", "host", "--gpus", "all", "--ipc", "host"]
    words += ["--ulimit", "memlock=-1", "--ulimit", "stack=67108864"]
    words += ["--log-driver", "json-file", "--log-opt", "max-size=64m", "--log-opt", "max-file=2"]
    for key, value in labels(spec, tag):
        words += ["--label", f"{key}={value}"]
    for entry in spec.mounts:
        words += ["-v", mount(entry)]
    for key, value in spec.env:
        words += ["-e", f"{key}={value}"]
    return (*words, "--entrypoint", spec.argv[0], spec.image, *spec.argv[1:])


def containers(text: str) -> tuple[Mapping[str, Any], ...]:
    """What `docker inspect` printed; anything that is not a container is left out."""
    try:
        body = json.loads(text) if text.strip() else []
    except ValueError:
        return ()
    if not isinstance(body, list):
        return ()
    return tuple(
        item for item in body if isinstance(item, dict) and isinstance(item.get("State"), dict)
    )


def label_map(container: Mapping[str, Any]) -> Mapping[str, str]:
    config = container.get("Config")
    found = config.get("Labels") if isinstance(config, dict) else None
    return found if isinstance(found, dict) else {}


def is_ours(container: Mapping[str, Any]) -> bool:
    return label_map(container).get(OURS) == "1"


def engine(
    container: Mapping[str, Any], host: str, *, serving: Sequence[str] = (), starting: bool = False
) -> Engine:
    """An inspected container of ours as an `Engine`.

    A container of `launch-cluster` runs a sleeper: its engine runs only while vLLM does (its id or
    name is in `serving`), or when the launcher has just ended well (`starting`).
    """
    state, marks = container["State"], label_map(container)
    name = str(container.get("Name", "")).lstrip("/")
    ident = str(container.get("Id", ""))
    up = str(state.get("Status", "")) in _UP or state.get("Running") is True
    launcher: LauncherName = "docker"
    if marks.get(LAUNCHER) == "launch-cluster":
        launcher = "launch-cluster"
        up = up and (starting or ident in serving or name in serving)
    code = state.get("ExitCode")
    ended = state.get("Status") in {"exited", "dead"}
    return Engine(
        launcher=launcher,
        host=host,
        container=name,
        ident=ident,
        started=str(state.get("StartedAt", "")),
        tag=marks.get(TAG, ""),
        model=marks.get(MODEL, ""),
        fingerprint=marks.get(FINGERPRINT, ""),
        running=up,
        exit_code=code if ended and isinstance(code, int) else None,
        oom_killed=state.get("OOMKilled") is True,
    )
