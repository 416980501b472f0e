"""OpenSSH's own sshd on a loopback port, with a configuration of its own, as the current user."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from filelock import FileLock

PACKAGES = {"/usr/sbin/sshd": "openssh-server", "zsh": "zsh", "fish": "fish"}


def install_missing(lock: Path) -> None:
    """These tests are never skipped: what is missing is installed, or they fail loudly."""
    with FileLock(lock):
        missing = sorted(package for name, package in PACKAGES.items() if not shutil.which(name))
        if not missing:
            return
        how = f"apt-get install -y --no-install-recommends {' '.join(missing)}"
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            raise RuntimeError(f"The sshd tests need {', '.join(missing)}. As root: {how}")
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for command in ("apt-get update", how):
            done = subprocess.run(
                command.split(), env=environment, capture_output=True, text=True, check=False
            )
            if done.returncode != 0:
                raise RuntimeError(f"`{command}` failed:\n{done.stdout}\n{done.stderr}")


def new_key(path: Path) -> None:
    for old in (path, path.with_suffix(".pub")):
        old.unlink(missing_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)


@dataclass
class Sshd:
    """`options` are lines of sshd_config. The port stays the same over `stop` and `start`."""

    directory: Path
    authorized: str
    options: tuple[str, ...] = ()
    user: str = field(default_factory=getpass.getuser)
    port: int = 0
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if not self.port:
            self._prepare()
        log = self.directory / "sshd.log"
        with log.open("ab") as sink:
            self._process = subprocess.Popen(
                ["/usr/sbin/sshd", "-D", "-e", "-f", str(self.directory / "sshd_config")],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )
        self._await_port(log)

    def _await_port(self, log: Path) -> None:
        while self._process is not None and self._process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
        raise RuntimeError(f"sshd did not start:\n{log.read_text()}")

    def _prepare(self) -> None:
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # privilege separation wants it
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        new_key(self.directory / "host_key")
        (self.directory / "authorized_keys").write_text(f"{self.authorized}\n")
        lines = [
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {self.directory}/host_key",
            f"AuthorizedKeysFile {self.directory}/authorized_keys",
            f"AllowUsers {self.user}",
            "PidFile none",
            "StrictModes no",
            "UsePAM no",
            "PermitRootLogin prohibit-password",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            *self.options,
        ]
        (self.directory / "sshd_config").write_text("\n".join(lines) + "\n")

    def change_host_key(self) -> None:
        new_key(self.directory / "host_key")

    def stop_listening(self) -> None:
        """As `systemctl restart ssh` does first: connections that are open live on."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=10)
            self._process = None

    def connections(self) -> list[psutil.Process]:
        """The sshd processes of open connections."""
        if self._process is None:
            return []
        below = psutil.Process(self._process.pid).children(recursive=True)
        found = []
        for process in below:
            with suppress(psutil.NoSuchProcess):
                if process.name().startswith("sshd"):
                    found.append(process)
        return found

    def signal_connections(self, number: signal.Signals) -> None:
        for process in self.connections():
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def stop(self) -> None:
        """The machine's sshd is gone, and with it all connections; commands are not touched."""
        left = self.connections()
        self.stop_listening()
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
