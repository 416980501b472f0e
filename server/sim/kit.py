"""What lies on a simulated host before anything runs: its commands, its /proc, its home.

Owns the writing of `bin`, `cbin`, `proc` and `state`. The commands carry the host's directory in
their text, so that they work whatever the environment they are called with.
"""

import importlib.resources
import os
import shlex
import sys
from pathlib import Path

import server
from server.sim import memory
from server.sim.layout import HostDir, write
from server.sim.scenario import Scenario

FILE_READERS = ("cat", "grep", "awk", "head", "sed", "tail")
SHELL_SHIMS = {
    "nvidia-smi": "nvidia-smi",
    "df": "df",
    "free": "free",
    "curl": "curl",
    "ip": "ip",
    **dict.fromkeys(FILE_READERS, "files"),
}
PYTHON_SHIMS = {
    "docker": "server.sim.docker.client",
    "vllm": "server.sim.engine.main",
    "ss": "server.sim.tools.ss",
    "ssh": "server.sim.tools.ssh",
    "pgrep": "server.sim.tools.pgrep",
}
LOGIN_SHELL = "/bin/bash" if Path("/bin/bash").exists() else "/bin/sh"
LAUNCHER = "server.sim.launcher.main"

NET_HEAD = (
    "Inter-|   Receive                                                |  Transmit\n"
    " face |bytes    packets errs drop fifo frame compressed multicast"
    "|bytes    packets errs drop fifo colls carrier compressed\n"
)


def net_dev(received: int, sent: int) -> str:
    """/proc/net/dev of a Spark: loopback, the LAN, one port of the fast link."""
    rows = {"lo": (918273, 918273), "enP7s7": (received, sent), "enp1s0f1np1": (88123456, 77123456)}
    return NET_HEAD + "".join(
        f"{name:>6}: {rx} {rx // 900} 0 0 0 0 0 0 {tx} {tx // 900} 0 0 0 0 0 0\n"
        for name, (rx, tx) in rows.items()
    )


def interpreter() -> str:
    """The real Python, not the venv's link to it: it must start without looking for a venv."""
    return str(Path(sys.executable).resolve())


def python_shim(host: Path | None, module: str) -> str:
    """A script that starts fast: no site, no environment, only the standard library and ours."""
    root = str(Path(server.__file__).resolve().parent.parent)
    place = f"os.environ['SIM_HOST'] = {str(host)!r}\n" if host else ""
    body = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: os._exit(143))  # from the first moment\n"
        f"sys.path.append({root!r})\n{place}"
        f"from {module} import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    python = interpreter()
    if " " in python or len(python) > 200:
        return f"#!/bin/sh\n''''exec {shlex.quote(python)} -IS \"$0\" \"$@\" # '''\n{body}"
    return f"#!{python} -IS\n{body}"


def shell_shim(host: Path, name: str) -> str:
    text = importlib.resources.files("server.sim").joinpath("shims", f"{name}.sh").read_text()
    return text.replace("'@HOST@", "'" + str(host).replace("'", "'\\''"))


def install(host: HostDir, address: str, cluster_address: str) -> None:
    """Everything a host needs, written anew; its home and its caches are left alone."""
    for part in (
        host.home,
        host.bin,
        host.container_bin,
        host.proc / "pressure",
        host.proc / "net",
        host.proc / "sys/kernel/random",
        host.claims,
        host.containers,
    ):
        part.mkdir(parents=True, exist_ok=True)
    for name, text in SHELL_SHIMS.items():
        write(host.bin / name, shell_shim(host.root, text), 0o755)
    for name, module in PYTHON_SHIMS.items():
        write(host.bin / name, python_shim(host.root, module), 0o755)
    inside = {"vllm": "server.sim.engine.main", "simulated-service": "server.sim.service.main"}
    for name, module in inside.items():
        write(host.container_bin / name, python_shim(host.root, module), 0o755)
    for name in ("nvidia-smi", "curl", "pgrep", *FILE_READERS):
        write(host.container_bin / name, (host.bin / name).read_text(), 0o755)
    for folder in (host.bin, host.container_bin):
        link = folder / "python3"
        link.unlink(missing_ok=True)
        link.symlink_to(interpreter())
    write(host.state / "address", f"{address}\n")
    write(host.state / "cluster_address", f"{cluster_address}\n")
    write(host.link, "up\n")
    write(host.proc / "net/dev", net_dev(1203498765, 998123456))


def apply(host: HostDir, told: Scenario) -> None:
    """The parts of a scenario that shell shims read, as files of one word."""
    write(host.state / "full", f"{int(told.disk_full)}\n")
    write(host.state / "smi_delay", f"{told.smi_delay:g}\n")
    docker, away = host.bin / "docker", host.state / "docker.absent"
    if told.docker == "absent" and docker.exists():
        docker.replace(away)
    elif told.docker != "absent" and away.exists():
        away.replace(docker)


def show_memory(host: HostDir, seen: memory.Figures) -> None:
    write(host.proc / "meminfo", memory.meminfo(seen))
    write(host.proc / "pressure/memory", memory.pressure(seen))


def show_gpu(host: HostDir, held: list[memory.Claim], beat: int) -> None:
    """Utilisation, temperature, power and clock for nvidia-smi, and the processes on the GPU."""
    if any(claim.busy for claim in held):
        line = f"{94 + beat % 3} {61 + beat % 4} {71 + beat % 5}.{beat % 10}4 2405"
    elif held:
        line = f"0 {47 + beat % 2} 12.{beat % 10}1 2405"
    else:
        line = f"0 {41 + beat % 2} 4.{beat % 10}2 208"
    write(host.state / "gpu", line + "\n")
    rows = "".join(f"{c.pid}|{c.name}|{c.bytes >> 20}\n" for c in held)
    write(host.state / "compute", rows)


def boot(host: HostDir, boot_id: str, uptime: float) -> None:
    """`boot` holds the machine's uptime at which this host booted."""
    write(host.proc / "sys/kernel/random/boot_id", f"{boot_id}\n")
    write(host.proc / "boot", f"{int(uptime)}\n")


def environment(host: HostDir, user: str) -> dict[str, str]:
    """What sshd gives a session."""
    return {
        "PATH": f"{host.bin}:/usr/bin:/bin",
        "HOME": str(host.home),
        "USER": user,
        "LOGNAME": user,
        "SHELL": LOGIN_SHELL,
        "LANG": os.environ.get("LANG", "C.UTF-8"),
        "SIM_HOST": str(host.root),
        "SIM_DIR": str(host.root.parent),
    }
