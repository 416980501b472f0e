"""The doctor of a host: asks it everything in two commands and tells what to do about it.

Owns the asking, and what can be told when the host cannot be asked. Refuses to change anything
there. The rules are in `diagnosis.py`.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from server.base.clock import Clock
from server.base.errors import DeadlineExceeded, HostKeyChanged, SparkError, SshAuthFailed
from server.base.finding import Finding, Severity
from server.config.model import Host, Settings
from server.fleet import diagnosis
from server.fleet.facts import SCRIPT, facts_argv, read_facts
from server.fleet.readings import number
from server.fleet.wiring import launches
from server.ssh.model import Refusal, Shell, Shells, Target

CONNECT_DEADLINE = 20.0
FACTS_DEADLINE = 60.0
LAUNCHER_DIRECTORY = "~/spark-vllm-docker"


class PinnedKeys(Protocol):
    """What the doctor asks of the pinned host keys."""

    def pinned(self, target: Target) -> str | None: ...
    def refused(self, name: str) -> Refusal | None: ...


async def check(
    host: Host,
    shells: Shells,
    *,
    settings: Settings,
    hostkeys: PinnedKeys,
    clock: Clock,
    tell: Callable[[Sequence[Finding]], None] = lambda _findings: None,
) -> list[Finding]:
    """Findings of one host, good ones too. A host that cannot be asked has findings as well.

    `tell` hears the first ones while the rest is asked.
    """
    try:
        shell = shells.shell(host.name)
        before, moment = clock.monotonic(), clock.now()
        answer = await shell.run(["date", "+%s.%N"], deadline=CONNECT_DEADLINE, check=False)
        seconds = clock.monotonic() - before
    except SparkError as error:
        return [_no_ssh(host, error), *_key(host, None, hostkeys)]
    target = shell.target
    where = f"{target.user}@{target.address}:{target.port}"
    told = f"It answers over SSH ({where}) in {seconds * 1000:.0f} ms."
    findings = [Finding("ssh", Severity.OK, told, host=host.name)]
    findings += _key(host, target, hostkeys)
    theirs = number(answer.stdout)
    if theirs is not None:
        ahead = theirs - (moment.timestamp() + seconds / 2)
        findings.append(diagnosis.clock_finding(host.name, ahead, seconds / 2))
    tell(findings)
    return findings + await _ask(host, shell, settings)


async def _ask(host: Host, shell: Shell, settings: Settings) -> list[Finding]:
    engine = settings.engine
    paths = (*engine.model_roots, *(() if engine.hf_home is None else (engine.hf_home,)))
    launcher = None
    peers: tuple[str, ...] = ()
    if launches(settings):
        launcher = engine.launch_cluster_dir or LAUNCHER_DIRECTORY
        others = [other for other in settings.hosts if other.name != host.name]
        peers = tuple(other.cluster_address or other.address for other in others)
    vllm = None
    if engine.launcher == "bare":
        vllm = "vllm" if engine.bare_venv is None else f"{engine.bare_venv}/bin/vllm"
    argv = facts_argv(paths=paths, launcher=launcher, vllm=vllm, peers=peers)
    try:
        answer = await shell.run(argv, deadline=FACTS_DEADLINE, stdin=SCRIPT.encode(), check=False)
    except SparkError as error:
        return [Finding("facts", Severity.UNKNOWN, error.message, error.advice or "", host.name)]
    return diagnosis.diagnose(read_facts(answer.stdout), host, settings)


def _no_ssh(host: Host, error: SparkError) -> Finding:
    """A refused key or login is an answer; silence is not: that is Unknown."""
    certain = isinstance(error, SshAuthFailed | HostKeyChanged)
    late = isinstance(error, DeadlineExceeded)
    severity = Severity.ERROR if certain or not (late or error.retryable) else Severity.UNKNOWN
    advice = error.advice or "Check that the machine is on, and its address, port and user."
    return Finding("ssh", severity, error.message, advice, host.name)


def _key(host: Host, target: Target | None, hostkeys: PinnedKeys) -> list[Finding]:
    refusal = hostkeys.refused(host.name)
    if refusal is not None:
        told = (
            f"The host key changed: {refusal.old} is pinned, the machine now shows {refusal.new}."
        )
        advice = (
            "If you reinstalled the machine, compare the new fingerprint with "
            "ssh-keygen -l on it and accept it; if not, somebody may stand in between."
        )
        return [Finding("host_key", Severity.ERROR, told, advice, host.name)]
    target = target or Target(host.name, host.address, host.port, host.user)
    pinned = hostkeys.pinned(target)
    if pinned is None:
        told = "No host key is pinned yet: the first connection pins it."
        return [Finding("host_key", Severity.INFO, told, host=host.name)]
    return [Finding("host_key", Severity.OK, f"The pinned host key is {pinned}.", host=host.name)]
