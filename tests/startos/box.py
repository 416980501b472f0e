"""A StartOS server with the package on it, as far as that can be had without StartOS.

The bundle that `start-cli s9pk pack` would take is loaded by a real node. StartOS's side is
`host/`: its calls are recorded, its volumes are folders, its containers are folders whose commands
run as real processes of this machine, with the app's own Python environment.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent.parent
HOST = Path(__file__).resolve().parent / "host"


class Refused(Exception):
    """The package threw; the message is what StartOS shows."""


class Box:
    """One server. `calls` are the effects of the newest request, by name."""

    def __init__(self, folder: Path, bundle: Path, node: str, data: Path | None = None) -> None:
        self.folder = folder
        self.data = folder / "volumes" / "main"
        self.store = folder / "volumes" / "startos" / "store.json"
        self.backup = folder / "backup" / "volumes" / "main"
        for place in (self.data, self.store.parent, folder / "images", folder / "assets"):
            place.parent.mkdir(parents=True, exist_ok=True)
            if place == self.data and data:
                place.symlink_to(data)
            place.mkdir(exist_ok=True)
        for script in (ROOT / "assets").glob("*.py"):
            shutil.copy(script, folder / "assets")
        (folder / "images" / "app.env").write_text("")
        (folder / "images" / "app.json").write_text(json.dumps({"user": "1000:1000"}))
        self.calls: list[dict[str, Any]] = []
        self.owned: list[Any] = []
        self._log = (folder / "host.log").open("ab")
        programs = [str(HOST), str(Path(sys.executable).parent), os.environ["PATH"]]
        self._process = subprocess.Popen(
            [node, str(HOST / "host.cjs")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={
                **os.environ,
                "PATH": os.pathsep.join(programs),
                "STARTOS_HOST": str(folder),
                "STARTOS_BUNDLE": str(bundle),
                "STARTOS_SOURCE": str(ROOT),
            },
        )

    def ask(self, door: str, **args: Any) -> Any:
        """One request to host.cjs. Raises `Refused` with what the package threw."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"door": door, **args}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"node ended:\n{(self.folder / 'host.log').read_text()}")
        reply = json.loads(line)
        self.calls = reply["calls"]
        if "error" in reply:
            raise Refused(reply["error"])
        return reply["value"]

    def run(self, action: str, given: Any = None) -> Any:
        """Open an action's form, then send it: what StartOS does."""
        self.ask("form", id=action)
        return self.ask("run", id=action, input=given)

    def called(self, name: str) -> list[Any]:
        return [call["args"] for call in self.calls if call["name"] == name]

    @property
    def ran(self) -> list[str]:
        """`user workdir command` of everything that ran in containers."""
        log = self.folder / "exec.log"
        return log.read_text().splitlines() if log.exists() else []

    @property
    def config(self) -> str:
        return (self.data / "config.yaml").read_text()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()
        self._log.close()
