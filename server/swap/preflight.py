"""Preflight: from what was seen on the hosts to findings. Pure; `swap.live` gathers the facts.

Only an `error` refuses a swap (and `force` overrides it). What could not be told is a finding of
its own, never a silent pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from server.base.finding import Finding, Severity
from server.base.units import GIB, size
from server.catalog.fit import Fit
from server.catalog.model import ModelFiles
from server.launch.model import Engine, LaunchSpec

OUTSIDE = "files_outside"
"""A local path that leads out of engine.model_roots: the one error that `force` does not override,
because a start would open a directory to the engine that nobody allowed."""

DOWNLOAD_RESERVE = 20 * GIB
"""Free disk below which a download of unknown size is warned about."""


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What preflight saw on one host. `reachable` None means Unknown; other None: not told.
    `trouble` is why a host that answers could not say which engines it has."""

    host: str
    reachable: bool | None
    reason: str = ""
    files: ModelFiles | None = None
    port_owner: str | None = None
    engines: tuple[Engine, ...] = ()
    trouble: str = ""
    disk_free: int | None = None
    driver: str | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """Engines by tag at the moment of the start: `stays` are there then, `goes` were served and are
    gone. With `sweep` any other engine of ours on the hosts is gone as well."""

    stays: frozenset[str] = frozenset()
    goes: frozenset[str] = frozenset()
    sweep: bool = True

    def gone(self, engine: Engine) -> bool:
        return engine.tag in self.goes or (self.sweep and engine.tag not in self.stays)


def findings(
    spec: LaunchSpec,
    facts: Sequence[HostFacts],
    launch: Sequence[Finding],
    fit: Fit | None,
    standing: Standing,
) -> list[Finding]:
    """In the order a person would fix them: hosts, launcher and image, files, memory, port, parity.

    `launch` is what the launch room found on the same hosts.
    """
    found: list[Finding] = []
    for host in facts:
        found += _host(host)
        if host.reachable:
            told = [one for one in launch if one.host == host.host]
            found += told or _trouble(host)
            found += _files(spec, host)
    found += [one for one in launch if one.host is None]
    found += _memory(fit, spec)
    reachable = [host for host in facts if host.reachable]
    heads = [host for host in reachable[:1] if not host.trouble]
    found += [f for host in heads for f in _port(spec, host, standing)]
    found += [f for host in reachable for f in _others(host, standing)]
    found += _parity(reachable)
    return found


def _host(facts: HostFacts) -> list[Finding]:
    if facts.reachable:
        return [Finding("host", Severity.OK, f"{facts.host} answers.", host=facts.host)]
    advice = "Look at its power, network and SSH; the host's page runs the doctor."
    message = f"{facts.host} cannot be reached: {facts.reason}"
    return [Finding("host_unreachable", Severity.ERROR, message, advice, facts.host)]


def _trouble(facts: HostFacts) -> list[Finding]:
    """What runs there is not known, and the launcher's own look did not say why."""
    if not facts.trouble:
        return []
    advice = "The host's page runs the doctor, which looks at docker more closely."
    return [Finding("engines_unknown", Severity.ERROR, facts.trouble, advice, facts.host)]


def _files(spec: LaunchSpec, facts: HostFacts) -> list[Finding]:
    files = facts.files
    if files is None:
        message = f"The files of {spec.source} on {facts.host} could not be looked at."
        return [Finding("files_unknown", Severity.UNKNOWN, message, host=facts.host)]
    if not files.found:
        return [_absent(spec, facts, files)]
    if spec.local_path and files.outside:
        message = f"{spec.source} is refused: {files.reason}."
        advice = "Move the files under one of engine.model_roots, or add their directory to it."
        return [Finding(OUTSIDE, Severity.ERROR, message, advice, facts.host)]
    if files.complete is False:
        what = files.reason or f"missing: {', '.join((*files.missing, *files.partial)[:5])}"
        advice = (
            "Copy the missing files to the host, or download the model again."
            if spec.local_path
            else "Finish the download there (hf download), or remove the partial files."
        )
        severity = Severity.ERROR if spec.local_path else Severity.WARNING
        message = f"{spec.source} is incomplete on {facts.host}: {what}."
        return [Finding("files_incomplete", severity, message, advice, facts.host)]
    if files.complete is None:
        message = f"It cannot be told whether {facts.host} has all of {spec.source}: {files.reason}"
        return [Finding("files_unknown", Severity.UNKNOWN, message, host=facts.host)]
    message = f"{spec.source} is complete on {facts.host} ({size(files.weight_bytes)})."
    return [Finding("files", Severity.OK, message, host=facts.host)]


def _absent(spec: LaunchSpec, facts: HostFacts, files: ModelFiles) -> Finding:
    if spec.local_path:
        why = f": {files.reason}" if files.reason else "."
        return Finding(
            "files_missing",
            Severity.ERROR,
            f"{spec.source} cannot be used on {facts.host}{why}",
            "Copy the model to that path on the host, under one of engine.model_roots.",
            facts.host,
        )
    if facts.disk_free is not None and facts.disk_free < DOWNLOAD_RESERVE:
        return Finding(
            "disk_low",
            Severity.WARNING,
            f"{spec.source} is not on {facts.host}; {size(facts.disk_free)} are free there.",
            "Remove models that are not used, then download it.",
            facts.host,
        )
    return Finding(
        "download",
        Severity.INFO,
        f"{spec.source} is not on {facts.host} yet: the engine downloads it first.",
        "This can take long; download it beforehand to make the swap quick.",
        facts.host,
    )


def _memory(fit: Fit | None, spec: LaunchSpec) -> list[Finding]:
    if fit is None:
        message = f"Whether {spec.model} fits cannot be told before its files are on the host."
        return [Finding("fit_unknown", Severity.UNKNOWN, message, host=spec.head.host)]
    lines = " ".join(fit.lines)
    severity, code, advice = {
        "fits": (Severity.OK, "fit", ""),
        "tight": (Severity.WARNING, "fit_tight", "Lower max_model_len or free memory first."),
        "cannot": (
            Severity.ERROR,
            "fit_cannot",
            "Lower max_model_len or gpu_memory_utilization, stop what else uses memory there, "
            "or use more nodes.",
        ),
    }.get(fit.verdict, (Severity.UNKNOWN, "fit_unknown", ""))
    return [Finding(code, severity, lines, advice, spec.head.host)]


def _port(spec: LaunchSpec, facts: HostFacts, standing: Standing) -> list[Finding]:
    """Taken by an engine that will be gone is not taken."""
    leaving = any(engine.running and standing.gone(engine) for engine in facts.engines)
    if facts.port_owner is None or leaving:
        return []
    return [
        Finding(
            "port_taken",
            Severity.ERROR,
            f"Port {spec.port} on {facts.host} is taken by {facts.port_owner}.",
            "Stop that program, or set engine.port to another port.",
            facts.host,
        )
    ]


def _others(facts: HostFacts, standing: Standing) -> list[Finding]:
    return [
        Finding(
            "other_engine",
            Severity.WARNING,
            f"Another engine of ours ({engine.model}) runs on {facts.host}; "
            + ("it is stopped." if standing.gone(engine) else "it holds memory there."),
            host=facts.host,
        )
        for engine in facts.engines
        if engine.running and engine.tag not in standing.goes | standing.stays
    ]


def _parity(facts: Sequence[HostFacts]) -> list[Finding]:
    if len(facts) < 2:
        return []
    drivers = {host.driver for host in facts if host.driver}
    if len(drivers) > 1:
        shown = ", ".join(f"{host.host}: {host.driver or 'unknown'}" for host in facts)
        advice = "Bring the nodes to the same version; tensor parallel runs need it."
        message = f"The nodes differ in the GPU driver ({shown})."
        return [Finding("driver_mismatch", Severity.WARNING, message, advice)]
    return [Finding("driver_parity", Severity.OK, "The nodes agree on the GPU driver.")]
