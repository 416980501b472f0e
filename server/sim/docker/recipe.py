"""From the options of `docker run` to a container's recipe.

Owns the meaning of the options that matter here (env, mounts, labels, entrypoint, restart);
refuses what docker refuses, in its words. Options without effect are kept for `inspect`.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from server.sim.docker import images
from server.sim.docker.container import Recipe
from server.sim.docker.words import Command, DockerError
from server.sim.layout import HostDir

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
SEE_HELP = "\nRun 'docker run --help' for more information\n"


def refused(text: str, code: int = 125) -> DockerError:
    """An answer of the daemon to `run`."""
    return DockerError(f"docker: Error response from daemon: {text}\n{SEE_HELP}", code)


def build(
    command: Command,
    image: str,
    name: str,
    *,
    environ: Mapping[str, str],
    cwd: Path,
    host: HostDir,
) -> Recipe:
    """Raises DockerError."""
    if not NAME.fullmatch(name):
        raise refused(
            f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed."
        )
    env = _variables(command, environ, cwd)
    own = images.entrypoint(image)
    entrypoint = command.value("entrypoint")
    if entrypoint is not None:
        own = (entrypoint,) if entrypoint else ()
    after = command.words[1:]
    if not own and not after:
        raise refused("no command specified.")
    return Recipe(
        name=name,
        image=command.words[0],
        image_id=images.ident(image),
        entrypoint=own,
        command=after,
        env=env,
        labels=_pairs(command.values.get("label", ())),
        mounts=tuple(_mounts(command, host)),
        workdir=command.value("workdir") or "/workspace",
        auto_remove="rm" in command.flags,
        restart=command.value("restart") or "no",
        stop_timeout=int(command.value("stop-timeout") or 10),
        host_config=_host_config(command),
    )


def _pairs(items: Iterable[str]) -> dict[str, str]:
    return {key: value for key, _, value in (item.partition("=") for item in items)}


def _variables(command: Command, environ: Mapping[str, str], cwd: Path) -> dict[str, str]:
    taken: dict[str, str] = {}
    for name in command.values.get("env-file", ()):
        try:
            text = (cwd / name).read_text()
        except FileNotFoundError:
            raise DockerError(
                f"docker: open {name}: no such file or directory\n{SEE_HELP}", 125
            ) from None
        lines = (line.strip() for line in text.splitlines())
        taken |= _with_environment((li for li in lines if li and li[0] != "#"), environ)
    return taken | _with_environment(command.values.get("env", ()), environ)


def _with_environment(items: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """`KEY=value`; a bare `KEY` is taken over from the client's environment, when it is there."""
    taken: dict[str, str] = {}
    for item in items:
        key, equals, value = item.partition("=")
        if equals:
            taken[key] = value
        elif key in environ:
            taken[key] = environ[key]
    return taken


def _mounts(command: Command, host: HostDir) -> Iterable[tuple[str, str, bool]]:
    for item in command.values.get("volume", ()):
        parts = item.split(":")
        if len(parts) < 2 or len(parts) > 3:
            raise refused(f"invalid volume specification: '{item}'")
        source, inside = parts[0], parts[1]
        if not inside.startswith("/"):
            raise refused(
                f"invalid volume specification: '{item}': invalid mount config for type \"bind\": "
                f"invalid mount path: '{inside}' mount path must be absolute"
            )
        options = parts[2].split(",") if len(parts) == 3 else []
        yield _source(source, host), inside, "ro" in options
    for item in command.values.get("mount", ()):
        given = _pairs(item.split(","))
        source = given.get("source") or given.get("src") or ""
        inside = given.get("target") or given.get("dst") or given.get("destination") or ""
        if given.get("type") == "bind" and not Path(source).exists():
            raise refused(
                f'invalid mount config for type "bind": bind source path does not exist: {source}'
            )
        yield _source(source, host), inside, "readonly" in given or "ro" in given


def _source(source: str, host: HostDir) -> str:
    """A named volume lies in the host's state; a missing directory is made, as dockerd does."""
    place = Path(source) if source.startswith("/") else host.state / "volumes" / source
    if not place.exists() and place.is_relative_to(host.root.parent):
        place.mkdir(parents=True)
    return str(place)


def _host_config(command: Command) -> dict[str, object]:
    restart, _, retries = (command.value("restart") or "no").partition(":")
    return {
        "NetworkMode": command.value("network", "net") or "default",
        "IpcMode": command.value("ipc") or "private",
        "Privileged": "privileged" in command.flags,
        "AutoRemove": "rm" in command.flags,
        "RestartPolicy": {"Name": restart, "MaximumRetryCount": int(retries or 0)},
        "Binds": list(command.values.get("volume", ())) or None,
        "ShmSize": 67108864,
        "Memory": 0,
        "Ulimits": [{"Name": u} for u in command.values.get("ulimit", ())] or None,
        "DeviceRequests": (
            [{"Driver": "", "Count": -1, "Capabilities": [["gpu"]]}]
            if command.value("gpus")
            else None
        ),
    }
