"""How docker shows containers: `inspect`, `ps`, as JSON, template or table.

Pure but for the clock that is handed in. Owns shapes and wording; refuses to change anything.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from server.sim.docker.container import NEVER, Container
from server.sim.docker.template import fill
from server.sim.docker.words import Command, DockerError


def inspect(container: Container) -> dict[str, Any]:
    recipe = container.recipe
    argv = (*recipe.entrypoint, *recipe.command)
    return {
        "Id": container.id,
        "Created": container.created,
        "Path": argv[0] if argv else "",
        "Args": list(argv[1:]),
        "State": state(container),
        "Image": recipe.image_id,
        "Name": f"/{recipe.name}",
        "RestartCount": container.restarts,
        "Driver": "overlay2",
        "Platform": "linux",
        "LogPath": f"/var/lib/docker/containers/{container.id}/{container.id}-json.log",
        "HostConfig": dict(recipe.host_config),
        "Mounts": [
            {
                "Type": "bind",
                "Source": source,
                "Destination": inside,
                "Mode": "ro" if read_only else "",
                "RW": not read_only,
                "Propagation": "rprivate",
            }
            for source, inside, read_only in recipe.mounts
        ],
        "Config": {
            "Hostname": container.host.name,
            "User": "",
            "Env": [f"{key}={value}" for key, value in recipe.env.items()],
            "Cmd": list(recipe.command) or None,
            "Image": recipe.image,
            "WorkingDir": recipe.workdir,
            "Entrypoint": list(recipe.entrypoint) or None,
            "Labels": dict(recipe.labels),
        },
        "NetworkSettings": {"Networks": {"host": {"IPAddress": ""}}, "Ports": {}},
    }


def state(container: Container) -> dict[str, Any]:
    """How it runs, or how it ended."""
    return {
        "Status": container.status,
        "Running": container.running,
        "Paused": False,
        "Restarting": False,
        "OOMKilled": container.oom_killed,
        "Dead": False,
        "Pid": container.pid,
        "ExitCode": container.exit_code,
        "Error": "",
        "StartedAt": container.started,
        "FinishedAt": container.finished,
    }


def row(container: Container, now: datetime, *, truncate: bool) -> dict[str, str]:
    """One line of `docker ps`, with the keys of `--format '{{json .}}'`."""
    recipe = container.recipe
    command = " ".join((*recipe.entrypoint, *recipe.command))
    if truncate and len(command) > 20:
        command = command[:19] + "…"
    created = parse_time(container.created)
    return {
        "Command": f'"{command}"',
        "CreatedAt": created.strftime("%Y-%m-%d %H:%M:%S +0000 UTC"),
        "ID": container.id[:12] if truncate else container.id,
        "Image": recipe.image,
        "Labels": ",".join(f"{key}={value}" for key, value in recipe.labels.items()),
        "LocalVolumes": "0",
        "Mounts": ",".join(source for source, _, _ in recipe.mounts),
        "Names": recipe.name,
        "Networks": "host",
        "Ports": "",
        "RunningFor": f"{ago(now - created)} ago",
        "Size": "0B",
        "State": container.status,
        "Status": status(container, now),
    }


def status(container: Container, now: datetime) -> str:
    if container.running:
        return f"Up {ago(now - parse_time(container.started))}"
    if container.finished != NEVER:
        return f"Exited ({container.exit_code}) {ago(now - parse_time(container.finished))} ago"
    return "Created"


def parse_time(text: str) -> datetime:
    return datetime.strptime(text[:26], "%Y-%m-%dT%H:%M:%S.%f").replace(tzinfo=UTC)


def ago(delta: Any) -> str:
    """docker's rounding of a duration."""
    seconds = int(delta.total_seconds())
    if seconds < 1:
        return "Less than a second"
    for size, name in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds // size} {name}"
    if seconds >= 3600:
        return "About an hour"
    if seconds >= 60:
        return "About a minute"
    return "1 second" if seconds == 1 else f"{seconds} seconds"


def ps(containers: Iterable[Container], command: Command, now: datetime) -> str:
    everything = bool(command.flags & {"all", "latest"}) or "last" in command.values
    statuses = [f for f in command.values.get("filter", ()) if f.startswith("status=")]
    chosen = [c for c in containers if everything or statuses or c.running]
    for condition in command.values.get("filter", ()):
        key, _, value = condition.partition("=")
        chosen = [c for c in chosen if _matches(c, key, value, command)]
    chosen.sort(key=lambda c: c.created, reverse=True)
    if "quiet" in command.flags:
        return "".join(f"{c.id if 'no-trunc' in command.flags else c.id[:12]}\n" for c in chosen)
    rows = [row(c, now, truncate="no-trunc" not in command.flags) for c in chosen]
    names = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")
    heads = ("CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES")
    return table(rows, command.value("format"), names, heads)


def table(
    rows: Sequence[dict[str, str]],
    template: str | None,
    names: Sequence[str],
    heads: Sequence[str],
) -> str:
    """Rows by template, as one JSON object a line, or as docker's columns."""
    if template == "json":
        template = "{{json .}}"
    if template and not template.startswith("table "):
        return "".join(fill(template, line) + "\n" for line in rows)
    cells = [list(heads), *([line[name] for name in names] for line in rows)]
    widths = [max(len(line[at]) for line in cells) for at in range(len(names))]
    return "".join(
        "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        + "\n"
        for line in cells
    )


def _matches(container: Container, key: str, value: str, command: Command) -> bool:
    recipe = container.recipe
    if key == "name":
        if value.startswith("^"):
            return recipe.name == value.strip("^$/")
        return value.strip("/") in recipe.name
    if key == "label":
        name, equals, wanted = value.partition("=")
        return name in recipe.labels and (not equals or recipe.labels[name] == wanted)
    tests = {
        "status": container.status == value,
        "id": container.id.startswith(value),
        "ancestor": recipe.image in (value, f"{value}:latest"),
    }
    if key not in tests:
        raise DockerError(f"Error response from daemon: invalid filter '{key}'\n")
    return tests[key]


def dump(found: Sequence[dict[str, Any]], template: str | None) -> str:
    """The output of `inspect`."""
    if template and template != "json":
        return "".join(fill(template, body) + "\n" for body in found)
    return json.dumps(list(found), indent=4) + "\n"
