"""What a look at the hosts before a start says: findings, or a reason to refuse. Pure."""

import json
from collections.abc import Mapping

from server.base.errors import HostUnreachable, SparkError
from server.base.finding import Finding, Severity
from server.base.redact import one_line
from server.launch import docker, outcome
from server.launch.cluster import checkout
from server.launch.model import Diagnosis, Engine, LaunchFailed, LaunchSpec
from server.launch.signatures import diagnose

Look = Mapping[str, str]
FULL_BYTES = 64 << 20
"""With less than this free neither a container nor the engine's state can be written."""


def findings(spec: LaunchSpec, looks: Mapping[str, Look | BaseException]) -> list[Finding]:
    """In the order of the hosts; an empty list means nothing stands in the way."""
    found: list[Finding] = []
    images: dict[str, str] = {}
    for host, answer in looks.items():
        if isinstance(answer, BaseException):
            found.append(_unanswered(host, answer))
            continue
        found += [_error(code, host, text, advice) for code, text, advice in problems(spec, answer)]
        ident = image_id(answer)
        if ident:
            images[host] = ident
    if len(set(images.values())) > 1:
        found.append(
            Finding(
                "image_differs",
                Severity.WARNING,
                f"{spec.image} is not the same image on {', '.join(sorted(images))}",
                "Copy one build to all nodes: build-and-copy.sh --no-build --copy-to …",
            )
        )
    return found


def _unanswered(host: str, error: BaseException) -> Finding:
    if not isinstance(error, SparkError):
        raise error
    code = "host_unreachable" if isinstance(error, HostUnreachable) else error.code
    return Finding(code, Severity.UNKNOWN, error.message, error.advice or "", host)


def _error(code: str, host: str, text: str, advice: str) -> Finding:
    return Finding(code, Severity.ERROR, text, advice, host)


def problems(spec: LaunchSpec, look: Look) -> list[tuple[str, str, str]]:
    """(code, sentence, advice) for each thing on one host that a start would fail on."""
    found: list[tuple[str, str, str]] = []
    if "nomodel" in look:
        text = f"the folder {look['nomodel'].strip()} is not there"
        found.append(("model_missing", text, "Copy the model to this host, or correct its path."))
    if "novllm" in look:
        found.append(
            ("vllm_missing", "there is no vllm command", "Install vLLM, or set engine.bare_venv.")
        )
    if "nodocker" in look:
        found.append(
            ("docker_missing", "docker is not installed", "Install docker, or use launcher: bare.")
        )
    if "nocheckout" in look:
        text = f"there is no launch-cluster.sh in {checkout(spec)}"
        advice = "Clone spark-vllm-docker there, or correct engine.launch_cluster_dir."
        found.append(("checkout_missing", text, advice))
    if look.get("shortcoming"):
        found.append(("checkout_too_old", look["shortcoming"], ""))
    found += [
        ("disk_full", f"the disk at {mount} is full", "Remove models or images that nobody uses.")
        for mount in full_disks(look.get("space", ""))
    ]
    return found + _image_problems(spec, look) + _owner_problems(spec, look)


def full_disks(df: str) -> list[str]:
    """The mount points in an answer of `df -PB1` that have no room left."""
    rows = (line.split(maxsplit=5) for line in df.splitlines()[1:])
    full = [
        row[5] for row in rows if len(row) == 6 and row[3].isdigit() and int(row[3]) < FULL_BYTES
    ]
    return list(dict.fromkeys(full))


def _image_problems(spec: LaunchSpec, look: Look) -> list[tuple[str, str, str]]:
    text = look.get("image")
    if text is None or text.endswith("rc=0"):
        return []
    if text.endswith("rc=124"):
        advice = "Look at docker there; systemctl restart docker leaves running engines alone only "
        advice += "with live-restore."
        return [("docker_silent", "docker did not answer within 8 s", advice)]
    said = text.rpartition("rc=")[0]
    if "no such image" in said.lower() or said.strip() in {"", "[]"}:
        advice = "Build or pull it there, or copy it from another node."
        return [("image_missing", f"there is no image {spec.image}", advice)]
    seen = diagnose(said, exit_code=None, oom_killed=False)
    if seen.code == "unknown":
        return [("docker_failed", f"docker said: {one_line(said, 200)}", seen.advice)]
    return [(seen.code, seen.cause, seen.advice)]


def _owner_problems(spec: LaunchSpec, look: Look) -> list[tuple[str, str, str]]:
    container = outcome.named(look, spec.container)
    if container is None or docker.is_ours(container):
        return []
    text = f"a container named {spec.container} was not started by Spark Control"
    advice = f"Remove it (docker rm -f {spec.container}) or set another engine.container."
    return [("container_foreign", text, advice)]


def image_id(look: Look) -> str | None:
    text, _, code = look.get("image", "").rpartition("rc=")
    if code.strip() != "0":
        return None
    try:
        body = json.loads(text)
    except ValueError:
        return None
    first = body[0] if isinstance(body, list) and body else {}
    return str(first["Id"]) if isinstance(first, dict) and first.get("Id") else None


def insist(spec: LaunchSpec, looks: Mapping[str, Look]) -> None:
    """Refuse a start on nodes that cannot take it, before anything is touched."""
    for host, look in looks.items():
        for code, text, advice in problems(spec, look):
            raise LaunchFailed(
                f"{spec.model} cannot be started on {host}: {text}",
                step="check",
                host=host,
                diagnosis=Diagnosis(code, text, advice),
            )


def in_flight(look: Look) -> bool:
    """Whether a launcher is at work on this head right now."""
    return bool(look.get("starting", "").strip())


def present(spec: LaunchSpec, looks: Mapping[str, Look], tag: str) -> Engine | bool:
    """The engine to adopt when every node runs our tag; else whether there are leftovers.
    Raises Conflict when something else runs."""
    found: dict[str, Engine] = {}
    for host, look in looks.items():
        container = outcome.named(look, spec.container)
        if container is not None:
            found[host] = docker.engine(container, host, serving=look.get("serving", "").split())
            outcome.check_owner(container, found[host], tag, host)
    head = found.get(spec.head.host)
    whole = len(found) == len(spec.nodes) and all(engine.tag == tag for engine in found.values())
    if head is not None and whole and head.running:
        return head
    return bool(found)
