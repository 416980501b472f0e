"""The gateways that are measured side by side, each in its own process: nginx, LiteLLM, ours.

Owns starting them over one fake engine, stopping, and putting aside those whose turn it is not.
Each is set up as its makers say for this task; the notes say what it does of what ours does.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.process import tell, tree, tree_cpu_seconds
from bench.tools import AROUND, MEASURED, NotHere, Tools, built, on_core
from tests.e2e.running import ROOT, free_port

MODEL = "bench-model"
LITELLM_KEY = "sk-bench-5b0f6c1d2e3a4958"
LITELLM = "litellm[proxy]"
PATIENCE = 120.0


@dataclass(slots=True)
class Peer:
    """A gateway that runs. `key`: what it wants as a bearer. `start`: seconds until it answered."""

    name: str
    port: int
    pid: int = 0
    key: str | None = None
    start: float = 0.0
    stopped: bool = field(default=False)

    def cpu(self) -> float:
        return tree_cpu_seconds(self.pid) if self.pid else 0.0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Runs inside, is put aside after."""
        self.go_on()
        try:
            yield
        finally:
            self.put_aside()

    def go_on(self) -> None:
        if self.pid:
            tell(tree(self.pid), signal.SIGCONT)

    def put_aside(self) -> None:
        if self.pid:
            tell(tree(self.pid), signal.SIGSTOP)


@contextmanager
def running(
    argv: Sequence[object], log: Path, *, core: int, env: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A program on one core, ended at the end whatever it does by then."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            [*on_core(core), *map(str, argv)],
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        whole = tree(process.pid)
        tell(whole, signal.SIGCONT)
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        tell(whole[1:], signal.SIGKILL)


@contextmanager
def engine(tools: Tools, place: Path, rate: float) -> Iterator[Peer]:
    """The fake engine: what is asked directly, and what all gateways have behind them."""
    port = free_port()
    argv = [tools.engine, "0.0.0.0", port, rate]
    with running(argv, place / "engine.log", core=AROUND):
        yield Peer("direct", port)


@contextmanager
def nginx(place: Path, engine_port: int, *, log: bool = False) -> Iterator[Peer]:
    """One worker, connections to the engine kept, nothing buffered. It looks at no key and at no
    body: a limit to be near, not a like."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        raise NotHere("there is no nginx: `make bench` installs it as root (nginx-light)")
    port, home = free_port(), place / f"nginx{'-log' if log else ''}"
    (home / "tmp").mkdir(parents=True)
    config = home / "nginx.conf"
    written = f"access_log {home}/access.log;" if log else "access_log off;"
    user = "user root;" if os.geteuid() == 0 else ""
    config.write_text(_NGINX % {"port": port, "engine": engine_port, "log": written, "user": user})
    argv = [program, "-p", home, "-c", config, "-e", home / "error.log"]
    with running(argv, home / "out.log", core=MEASURED) as process:
        peer = Peer("nginx, access log" if log else "nginx", port, process.pid)
        yield _ready(peer, process, home / "out.log")


_NGINX = """%(user)s
worker_processes 1;
daemon off;
pid nginx.pid;
events { worker_connections 8192; }
http {
  %(log)s
  client_max_body_size 0;
  client_body_temp_path tmp;
  proxy_temp_path tmp;
  fastcgi_temp_path tmp;
  uwsgi_temp_path tmp;
  scgi_temp_path tmp;
  keepalive_requests 100000000;
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  upstream engine {
    server 127.0.0.1:%(engine)d;
    keepalive 512;
    keepalive_requests 100000000;
  }
  server {
    listen 127.0.0.1:%(port)d backlog=4096;
    location / {
      proxy_pass http://engine;
      proxy_http_version 1.1;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header Upgrade $http_upgrade;
      proxy_buffering off;
      proxy_request_buffering off;
    }
  }
}
"""


@contextmanager
def litellm(place: Path, engine_port: int) -> Iterator[Peer]:
    """As `pip install 'litellm[proxy]'` gives it: one worker, one model, a key, no database."""
    program = _litellm_installed()
    port, home = free_port(), place / "litellm"
    home.mkdir()
    (home / "config.yaml").write_text(
        f"model_list:\n- model_name: {MODEL}\n  litellm_params: {{model: openai/{MODEL}, "
        f"api_base: 'http://127.0.0.1:{engine_port}/v1', api_key: none}}\n"
        f"general_settings: {{master_key: {LITELLM_KEY}}}\n"
    )
    env = {**os.environ, "LITELLM_MODE": "PRODUCTION", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    argv = [program, "--config", home / "config.yaml", "--host", "127.0.0.1", "--port", port]
    log = home / "out.log"
    with running([*argv, "--num_workers", 1], log, core=MEASURED, env=env) as process:
        yield _ready(Peer("LiteLLM", port, process.pid, LITELLM_KEY), process, log)


def _litellm_installed() -> Path:
    """In an environment of its own, kept between runs."""
    place = built() / "litellm"
    program = place / "bin" / "litellm"
    if program.is_file():
        return program
    uv = shutil.which("uv", path=f"{ROOT}/.tools/bin:{ROOT}/.tools/site/bin") or shutil.which("uv")
    if uv is None:
        raise NotHere("there is no uv to install LiteLLM with: run `make setup` first")
    for words in (["venv", "-q", str(place)], ["pip", "install", "-q", "--python", str(place)]):
        argv = [uv, *words, *([LITELLM] if words[0] == "pip" else [])]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotHere(f"LiteLLM could not be installed: {done.stderr.strip()[-300:]}")
    return program


def _ready(peer: Peer, process: subprocess.Popen[bytes], log: Path) -> Peer:
    """`peer` once it accepts connections; how long that took is kept."""
    began = time.monotonic()
    while not _listens(peer.port):
        if process.poll() is not None:
            raise RuntimeError(f"{peer.name} ended: {log.read_text()[-1000:]}")
        if time.monotonic() > began + PATIENCE:
            raise RuntimeError(f"{peer.name} does not listen after {PATIENCE:.0f} s")
        time.sleep(0.005)
    peer.start = time.monotonic() - began
    return peer


def _listens(port: int) -> bool:
    """Whether somebody listens there, without connecting: a peer may be busy starting."""
    end = f":{port:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(end) and fields[3] == "0A":
            return True
    return False
