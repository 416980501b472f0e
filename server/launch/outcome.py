"""What the answer of a start means: an engine, a leftover to remove first, or an error. Pure.

The one place that decides between adopting (our tag runs), refusing (something else runs) and
clearing away (ours, but it does not run).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from server.base.errors import Conflict, Unavailable
from server.base.redact import redact
from server.launch import docker
from server.launch.cluster import skipped
from server.launch.model import Diagnosis, Engine, LaunchFailed, LaunchSpec
from server.launch.observe import bare_engines
from server.launch.signatures import diagnose

Parts = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something of ours bears the name and does not run: remove it, then start again."""


@dataclass(frozen=True, slots=True)
class Superseded:
    """The fence of the host is at `fence`: a start that is still wanted goes again above it."""

    fence: int


def refusal(parts: Parts, spec: LaunchSpec, host: str) -> Superseded | None:
    """Raises for what every start may answer before it does anything."""
    if "superseded" in parts:
        return Superseded(int(parts["superseded"].strip() or 0))
    if "busy" in parts:
        raise Conflict(
            f"another start of {spec.container} is still at work on {host}",
            advice="Wait until it has ended, or unload first.",
            retry_after=5.0,
        )
    if "nostate" in parts:
        raise Unavailable(
            f"the state folder ~/.spark-control on {host} cannot be written",
            advice="Check free disk space and permissions of the SSH user's home there.",
        )
    if "missing" in parts:
        raise _missing(parts["missing"].strip(), spec, host)
    return None


def _missing(what: str, spec: LaunchSpec, host: str) -> LaunchFailed:
    if spec.launcher == "bare":
        code, text = "vllm_missing", f"there is no vllm command on {host}"
        advice = "Install vLLM, or set engine.bare_venv."
    elif what == spec.option("launch_cluster_dir"):
        code, text = "checkout_missing", f"there is no folder {what} on {host}"
        advice = "Clone spark-vllm-docker there, or correct engine.launch_cluster_dir."
    else:
        code, text = "model_missing", f"there is no folder {what} on {host}"
        advice = "Copy the model to this host, or correct its path."
    return LaunchFailed(text, step="start", host=host, diagnosis=Diagnosis(code, text, advice))


def of_docker(parts: Parts, spec: LaunchSpec, tag: str, host: str) -> Engine | Leftover:
    """After `docker run` (which fails on a name that is taken, whoever was first)."""
    container = named(parts, spec.container)
    if container is None:
        raise failed(parts, spec, host)
    found = docker.engine(container, host)
    check_owner(container, found, tag, host)
    if found.tag == tag and container["State"].get("Status") != "created":
        return found
    if found.tag == tag and _code(parts) != 0 and not _name_taken(parts):
        raise failed(parts, spec, host)
    return Leftover()


def of_cluster(parts: Parts, spec: LaunchSpec, tag: str, host: str) -> Engine | Leftover:
    """After `launch-cluster.sh … -d exec` on the head, which says nothing of vLLM itself."""
    container = named(parts, spec.container)
    if "present" in parts:
        if container is None:
            return Leftover()
        found = docker.engine(container, host, serving=parts.get("serving", "").split())
        check_owner(container, found, tag, host)
        return found if found.tag == tag and found.running else Leftover()
    output = parts.get("output", "")
    if container is None or _code(parts) != 0 or skipped(output):
        raise failed(parts, spec, host)
    found = docker.engine(container, host, starting=True)
    check_owner(container, found, tag, host)
    if found.tag != tag:
        raise failed(parts, spec, host)
    return found


def of_bare(parts: Parts, spec: LaunchSpec, tag: str, host: str) -> Engine:
    found = next(iter(bare_engines(parts.get("bare", ""), host)), None)
    if found is None:
        text = f"vllm did not get as far as writing its pid file on {host}"
        advice = "Check free disk space and permissions of the SSH user's home there."
        diagnosis = Diagnosis("no_pid_file", text, advice)
        raise LaunchFailed(text, step="start", host=host, diagnosis=diagnosis)
    if found.tag != tag:
        raise _other(found, host)
    return found


def named(parts: Parts, name: str) -> Mapping[str, Any] | None:
    every = docker.containers(parts.get("inspect", ""))
    return next((item for item in every if item.get("Name") in {name, f"/{name}"}), None)


def check_owner(container: Mapping[str, Any], found: Engine, tag: str, host: str) -> None:
    """Raises Conflict for a container that is not ours, or another engine of ours that runs."""
    if not docker.is_ours(container):
        raise Conflict(
            f"a container named {found.container} on {host} was not started by Spark Control",
            advice=f"Remove it (docker rm -f {found.container}) or set another engine.container.",
        )
    if found.tag != tag and found.running:
        raise _other(found, host)


def _other(found: Engine, host: str) -> Conflict:
    return Conflict(
        f"{found.model or 'another model'} already runs on {host} (started by {found.tag})",
        advice="Unload it first.",
    )


def failed(parts: Parts, spec: LaunchSpec, host: str) -> LaunchFailed:
    """The start command's own output says why."""
    output = redact(parts.get("output", ""))[-8000:]
    found = diagnose(output, exit_code=_code(parts), oom_killed=False)
    return LaunchFailed(
        f"{spec.model} could not be started on {host}: {found.cause}",
        step="start",
        host=host,
        output=output,
        diagnosis=found,
    )


def _code(parts: Parts) -> int:
    text = parts.get("code", "").strip().splitlines()
    return int(text[-1]) if text and text[-1].lstrip("-").isdigit() else -1


def _name_taken(parts: Parts) -> bool:
    return "is already in use by container" in parts.get("output", "")
