"""A simulated host, seen through SSH: shims that say what a GB10 says."""

import json

import asyncssh
import pytest

from tests.sim.far import Far
from tests.sim_cluster import Sim

pytestmark = pytest.mark.sim


async def test_a_session_has_its_own_home_path_and_user(far: Far, sim: Sim) -> None:
    """HOME and cwd are the host's; the commands of the host come first in PATH."""
    out = await far.out("echo $HOME; pwd; echo $USER; command -v docker")
    home, where, user, docker = out.splitlines()
    assert home == where == str(sim.dir / "spark-1" / "home")
    assert user == "ubuntu"
    assert docker == str(sim.dir / "spark-1" / "bin" / "docker")


async def test_exit_status_stderr_and_stdin_arrive_as_with_any_sshd(far: Far) -> None:
    """Stdout, stderr and the exit status are apart; stdin reaches the command and ends."""
    done = await far.run("cat; echo problem >&2; exit 7", stdin="given")
    assert (done.code, done.out, done.err) == (7, "given", "problem\n")


async def test_a_command_killed_by_a_signal_reports_the_signal(sim: Sim) -> None:
    """As sshd: exit-signal instead of exit-status."""
    async with await sim.connect("spark-1") as link:
        done = await link.run("kill -9 $$")
    assert done.exit_signal is not None
    assert done.exit_signal[0] == "KILL"


async def test_only_the_known_key_and_users_get_in(sim: Sim) -> None:
    """A stranger's key is refused, and so is a user who does not exist."""
    at = sim.hosts["spark-1"]
    for user, key in (
        ("ubuntu", asyncssh.generate_private_key("ssh-ed25519")),
        ("nobody-here", asyncssh.read_private_key(sim.key)),
    ):
        with pytest.raises(asyncssh.PermissionDenied):
            await asyncssh.connect(
                at.address,
                at.port,
                username=user,
                client_keys=[key],
                known_hosts=str(sim.known_hosts),
                config=None,
                agent_path=None,
            )
    async with await sim.connect("spark-1", user="audio") as link:
        assert (await link.run("echo $USER")).stdout == "audio\n"


async def test_nvidia_smi_says_not_available_where_a_gb10_does(far: Far) -> None:
    """Memory is [N/A]; utilisation, temperature, power, clock and driver are figures."""
    out = await far.out(
        "nvidia-smi --query-gpu=name,memory.total,memory.used,utilization.gpu,temperature.gpu,"
        "power.draw,clocks.current.sm,driver_version --format=csv,noheader,nounits"
    )
    fields = out.strip().split(", ")
    assert fields[:3] == ["NVIDIA GB10", "[N/A]", "[N/A]"]
    assert [float(value) >= 0 for value in fields[3:7]] == [True] * 4
    assert fields[7] == "580.95.05"


async def test_nvidia_smi_has_heads_units_loops_and_refuses_unknown_fields(far: Far) -> None:
    """csv without noheader has a head; -l repeats; a wrong field is exit code 2."""
    out = await far.out("nvidia-smi --query-gpu=name,power.draw --format=csv")
    head, row = out.splitlines()
    assert head == "name, power.draw [W]"
    assert row.endswith(" W")
    out = await far.out(
        "timeout 1 nvidia-smi --query-gpu=name --format=csv,noheader -lms 200; true"
    )
    assert len(out.splitlines()) >= 3
    wrong = await far.run("nvidia-smi --query-gpu=colour --format=csv,noheader")
    assert wrong.code == 2
    assert "not a valid field" in wrong.out


async def test_proc_files_are_the_hosts_own_and_everything_else_is_real(far: Far) -> None:
    """cat, grep, awk and head see the host's memory; other files are untouched."""
    memory = await far.memory()
    assert memory["MemTotal"] == 127_611_700 * 1024
    assert (await far.out("grep MemTotal /proc/meminfo")).split()[1] == "127611700"
    assert (await far.out("awk '/MemTotal/{print $2}' /proc/meminfo")).strip() == "127611700"
    assert "avg10=0.00" in await far.out("cat /proc/pressure/memory")
    uptime, _ = (await far.out("cat /proc/uptime")).split()
    assert float(uptime) < 600
    boot = "/proc/sys/kernel/random/boot_id"
    assert await far.out(f"cat {boot}") != await far.out(f"cat {boot}", "spark-2")
    done = await far.run("echo 'a b' > 'odd name'; cat 'odd name' - ; cat /no/such", stdin="c\n")
    assert (done.out, done.code) == ("a b\nc\n", 1)


async def test_df_shows_one_disk_that_can_be_full(far: Far, sim: Sim) -> None:
    """-PB1 gives bytes; disk_full leaves nothing, and writing through cat fails."""
    _, row = (await far.out("df -PB1 $HOME")).splitlines()
    device, total, used, available, percent, mount = row.split()
    assert (device, mount) == ("/dev/nvme0n1p2", "/")
    assert int(total) > int(used) + int(available) > 3_000_000_000_000
    assert percent == "32%"
    assert (await far.run("df -PB1 /no/such/place")).code == 1
    sim.scenario("spark-1", disk_full=True)
    assert (await far.out("df -PB1 /")).splitlines()[1].split()[3] == "0"
    full = await far.run("cat > file", stdin="bytes")
    assert full.code == 1
    assert "No space left on device" in full.err
    assert (await far.run("docker run -d vllm-node sleep 1")).code == 125


async def test_services_run_as_containers_that_answer_health(far: Far, sim: Sim) -> None:
    """The services of config.yaml are there from the start, on the host labelled audio."""
    rows = (await far.out("docker ps --format '{{json .}}'", "spark-2")).splitlines()
    assert {json.loads(row)["Names"] for row in rows} == {
        "parakeet-asr",
        "kokoro-tts",
        "embeddings",
        "qdrant",
    }
    for port in (8001, 8880, 8002, 6333):
        if f"port: {port}" in sim.config.read_text():
            out = await far.out(f"curl -fsS http://127.0.0.1:{port}/health", "spark-2")
            assert json.loads(out)["simulated"] is True


async def test_hosts_see_only_their_own_listeners_and_processes(far: Far) -> None:
    """ss and pgrep do not show the machine underneath."""
    listening = await far.out("ss -ltnH", "spark-2")
    assert ":6333" in listening
    assert ":6333" not in await far.out("ss -ltnH")
    assert (await far.run("pgrep -f simulated-service", "spark-2")).code == 0
    assert (await far.run("pgrep -f simulated-service")).code == 1


async def test_two_hundred_quick_commands_leave_nothing_behind(far: Far, sim: Sim) -> None:
    """Sessions end whole: no process, no zombie."""
    link = await far.link("spark-1")
    for _ in range(20):
        done = [await link.create_process("true; echo x") for _ in range(10)]
        for process in done:
            assert (await process.wait()).stdout == "x\n"
    assert sim.processes("spark-1") == []
