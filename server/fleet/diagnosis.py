"""Facts of a host -> findings: the rules of the doctor, pure. What concerns the network between
Sparks is in `wiring.py`.

A fact that is missing makes an `unknown` finding or none, never an `error`: what could not be seen
is not said to be broken.
"""

from server.base import units
from server.base.finding import Finding, Severity
from server.config.model import Host, Settings
from server.fleet.facts import Facts
from server.fleet.model import Disk
from server.fleet.readings import docker_problem
from server.fleet.wiring import Row, clustered, launches, links, peers

OK, WARNING = Severity.OK, Severity.WARNING
ERROR, UNKNOWN = Severity.ERROR, Severity.UNKNOWN

NEEDED = ("setsid", "timeout", "df", "cat", "sleep")
BAD_DRIVER = "590."
LITTLE_DISK = 30 * units.GIB
NO_DISK = 2 * units.GIB
LITTLE_MEMORY = 4 * units.GIB
SKEW_SECONDS = 5.0
TIMED_OUT = 124


def diagnose(facts: Facts, host: Host, settings: Settings) -> list[Finding]:
    """In the order in which a person would fix things."""
    rows: list[Row] = []
    if not facts.complete:
        rows.append(
            (
                "facts",
                UNKNOWN,
                "The host did not tell everything before its time was up.",
                "Check again; if it stays so, look for a hanging docker, disk or driver.",
            )
        )
    rows += [_tools(facts), *_docker(facts), *_gpu(facts), *_memory(facts)]
    rows += [_disk(disk) for disk in facts.disks]
    rows += _paths(facts, settings)
    rows += _launchers(facts, settings)
    if clustered(host, settings):
        rows += links(facts, host, settings)
        rows += peers(facts)
    return [
        Finding(code, severity, message, advice, host.name)
        for code, severity, message, advice in rows
    ]


def clock_finding(host: str, ahead: float, uncertainty: float) -> Finding:
    """`ahead` is the host's clock minus ours; the answer took twice `uncertainty` to come."""
    if abs(ahead) - uncertainty <= SKEW_SECONDS:
        return Finding("clock", OK, "The clock agrees with ours.", host=host)
    side = "ahead of" if ahead > 0 else "behind"
    return Finding(
        "clock",
        WARNING,
        f"The clock is {units.duration(abs(ahead))} {side} ours.",
        "Switch on time synchronisation on both machines (timedatectl set-ntp true).",
        host,
    )


def _tools(facts: Facts) -> Row:
    missing = [tool for tool in NEEDED if facts.tools.get(tool) is False]
    if missing:
        names = ", ".join(missing)
        return (
            "tools",
            ERROR,
            f"Missing on the host: {names}.",
            "Install coreutils and util-linux there.",
        )
    if not facts.tools:
        return "tools", UNKNOWN, "The host did not say which tools it has.", "Check again."
    return "tools", OK, "The tools that Spark Control needs are there.", ""


def _docker(facts: Facts) -> list[Row]:
    if facts.tools.get("docker") is False:
        return [
            (
                "docker",
                ERROR,
                "docker is not installed, or not on the PATH of the SSH user.",
                "Install docker, or use the bare launcher.",
            )
        ]
    status, info = facts.docker_status, facts.docker_info
    if status is None:
        return [("docker", UNKNOWN, "docker was not asked.", "Check again.")]
    if status == TIMED_OUT:
        return [
            (
                "docker",
                UNKNOWN,
                "docker did not answer in time.",
                "Look at the daemon: systemctl status docker.",
            )
        ]
    complaint = _server_error(info)
    if status != 0 or complaint:
        complaint = complaint or facts.docker_says
        problem = docker_problem(status, complaint)
        advice = "Look at the daemon: systemctl status docker."
        if "permission" in problem:
            advice = "Add the SSH user to the docker group (sudo usermod -aG docker USER)."
        return [("docker", ERROR, f"{_sentence(problem)}.", advice)]
    version = info.get("ServerVersion") if info else None
    name = f"docker {version}" if isinstance(version, str) and version else "docker"
    return [("docker", OK, f"{name} is usable by the SSH user.", ""), *_runtime(info)]


def _server_error(info: dict[str, object] | None) -> str:
    """`docker info --format` exits 0 and tells here when the daemon could not be asked."""
    errors = info.get("ServerErrors") if info else None
    return str(errors[0]) if isinstance(errors, list) and errors else ""


def _runtime(info: dict[str, object] | None) -> list[Row]:
    runtimes = info.get("Runtimes") if info else None
    if not isinstance(runtimes, dict) or "nvidia" in runtimes or (info or {}).get("CDISpecDirs"):
        return []
    return [
        (
            "gpu_runtime",
            WARNING,
            "docker has no nvidia runtime, so `--gpus all` may fail.",
            "Install nvidia-container-toolkit and run nvidia-ctk runtime configure.",
        )
    ]


def _gpu(facts: Facts) -> list[Row]:
    if facts.tools.get("nvidia-smi") is False:
        return [
            (
                "nvidia_smi",
                ERROR,
                "nvidia-smi is not installed, so there are no GPU figures.",
                "Install the NVIDIA driver (580.x on a GB10).",
            )
        ]
    if facts.gpu_status is None:
        return [("nvidia_smi", UNKNOWN, "nvidia-smi was not asked.", "Check again.")]
    if facts.gpu_status == TIMED_OUT:
        return [
            (
                "nvidia_smi",
                UNKNOWN,
                "nvidia-smi did not answer in time.",
                "The driver may hang: look at dmesg for NVRM lines.",
            )
        ]
    name, comma, driver = facts.gpu_says.rpartition(",")
    if facts.gpu_status != 0 or not comma:
        said = f": {facts.gpu_says[:200]}" if facts.gpu_says else ""
        return [
            (
                "nvidia_smi",
                ERROR,
                f"nvidia-smi failed{said}.",
                "Reboot the host, or install the driver again.",
            )
        ]
    return [
        ("nvidia_smi", OK, f"nvidia-smi sees {name.strip()}.", ""),
        _driver(name, driver.strip()),
    ]


def _driver(name: str, driver: str) -> Row:
    if driver.startswith(BAD_DRIVER) and "GB10" in name:
        return (
            "driver",
            WARNING,
            f"Driver {driver} is known to hang on a GB10 while CUDA graphs are captured.",
            "Go to driver 580.x; until then load models with --enforce-eager.",
        )
    if not driver[:1].isdigit():
        return "driver", UNKNOWN, "The driver version is not known.", ""
    return "driver", OK, f"Driver {driver}.", ""


def _memory(facts: Facts) -> list[Row]:
    total, available = facts.memory.get("MemTotal"), facts.memory.get("MemAvailable")
    if total is None or available is None:
        return [("memory", UNKNOWN, "The memory figures could not be read.", "Check again.")]
    told = f"{units.size(available)} of {units.size(total)} memory are available"
    if available < LITTLE_MEMORY:
        return [
            ("memory", WARNING, f"Only {told}.", "Unload the model, or stop what else runs there.")
        ]
    return [("memory", OK, f"{told}.", "")]


def _disk(disk: Disk) -> Row:
    told = f"{units.size(disk.available)} of {units.size(disk.total)} are free on {disk.mount}"
    advice = "Remove models or images that nobody uses."
    if disk.available < NO_DISK:
        return "disk", ERROR, f"Only {told}.", advice
    if disk.available < LITTLE_DISK:
        return "disk", WARNING, f"Only {told}: too little for another model.", advice
    return "disk", OK, f"{told}.", ""


def _paths(facts: Facts, settings: Settings) -> list[Row]:
    rows: list[Row] = []
    for path in settings.engine.model_roots:
        answer = facts.paths.get(path)
        if answer == "no":
            rows.append(
                (
                    "model_roots",
                    WARNING,
                    f"The model root {path} does not exist here.",
                    "Create it, or take it out of engine.model_roots.",
                )
            )
        elif answer == "unreadable":
            rows.append(
                (
                    "model_roots",
                    ERROR,
                    f"The SSH user cannot read {path}.",
                    "Give it read and search permission there.",
                )
            )
        elif answer == "yes":
            rows.append(("model_roots", OK, f"The model root {path} is readable.", ""))
    return rows


def _launchers(facts: Facts, settings: Settings) -> list[Row]:
    rows: list[Row] = []
    if launches(settings):
        rows.append(_launch_cluster(facts))
    if settings.engine.launcher == "bare" and facts.vllm is not None:
        where = settings.engine.bare_venv or "the PATH of the SSH user"
        if facts.vllm:
            rows.append(("vllm", OK, "vllm is there for the bare launcher.", ""))
        else:
            rows.append(
                (
                    "vllm",
                    ERROR,
                    f"No vllm in {where}.",
                    "Install it there, or set engine.bare_venv.",
                )
            )
    return rows


def _launch_cluster(facts: Facts) -> Row:
    script = facts.launcher.get("launch-cluster.sh")
    if script is None:
        return "launch_cluster", UNKNOWN, "launch-cluster.sh was not looked for.", "Check again."
    if script == "no":
        return (
            "launch_cluster",
            ERROR,
            "launch-cluster.sh is not on the host.",
            "Clone spark-vllm-docker there and set engine.launch_cluster_dir.",
        )
    if script == "unreadable":
        return ("launch_cluster", ERROR, "launch-cluster.sh is not executable.", "chmod +x it.")
    has = [name for name, answer in facts.launcher.items() if answer == "yes"]
    return "launch_cluster", OK, f"The launcher is there ({', '.join(sorted(has))}).", ""


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
