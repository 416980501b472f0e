"""The wheel is the whole program: it runs from any directory, with nothing of the source tree."""

import json
import sqlite3
import subprocess
import zipfile
from email.parser import Parser
from pathlib import Path
from typing import Any

import httpx
import pytest

import server
from tests.e2e.running import free_port, until
from tests.packaging.installed import ROOT, Installed, Running, uv

SWAP_SECONDS = 60.0


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A directory with nothing in it, to start from."""
    folder = tmp_path / "anywhere"
    folder.mkdir()
    return folder


def tracked(*places: str) -> set[str]:
    """What is committed below `places`."""
    done = subprocess.run(
        ["git", "ls-files", "-z", *places], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return {name for name in done.stdout.split("\0") if name and (ROOT / name).exists()}


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_wheel_holds_every_file_of_the_app(installed: Installed) -> None:
    """Code, migrations, the simulator's commands, models.yaml, pages and built assets."""
    inside = set(contents(installed.wheel))
    wanted = tracked("server")
    wanted |= {f"server/_bundled/{name}" for name in tracked("templates", "models.yaml")}
    built = json.loads((ROOT / "static/dist/manifest.json").read_text())
    wanted |= {f"server/_bundled/static/dist/{name}" for name in built.values()}
    assert "server/store/migrations/versions/0001_first_tables.py" in wanted
    assert "server/sim/shims/nvidia-smi.sh" in wanted
    assert not wanted - inside


def test_the_wheel_holds_nothing_else(installed: Installed) -> None:
    """No tests, scripts or caches, and no path of the machine that built it."""
    found = contents(installed.wheel)
    assert {name.split("/")[0].partition("-")[0] for name in found} == {"server", "spark_control"}
    assert not [name for name in found if name.endswith(".pyc") or "__pycache__" in name]
    place = str(ROOT).encode()
    assert not [name for name, content in found.items() if place in content]


def test_the_wheel_says_the_version_that_the_program_says(installed: Installed) -> None:
    """pyproject.toml and `server.__version__` agree; so do the licence and the program's name."""
    found = contents(installed.wheel)
    (name,) = [name for name in found if name.endswith(".dist-info/METADATA")]
    told = Parser().parsestr(found[name].decode())
    assert told["Version"] == server.__version__
    assert told["License-Expression"] == "MIT"
    assert any(name.endswith("/licenses/LICENSE") for name in found)


def test_a_wheel_made_from_the_source_archive_is_the_same(
    installed: Installed, tmp_path: Path
) -> None:
    """Plain `uv build` goes that way: the archive must carry the built assets."""
    uv("build", "--quiet", "--out-dir", str(tmp_path))
    (again,) = tmp_path.glob("*.whl")
    assert set(contents(again)) == set(contents(installed.wheel))


def answers(app: Running, http: httpx.Client) -> bool:
    app.alive()
    try:
        return http.get("/livez").status_code == 200
    except httpx.TransportError:
        return False


def test_serve_runs_from_an_empty_directory(installed: Installed, empty: Path) -> None:
    """Ready, pages with their assets, the shipped models, a migrated database in ./data."""
    where = Path(installed.python(empty, "import server; print(server.__file__)"))
    assert where.is_relative_to(installed.venv)
    port = free_port()
    with (
        installed.running(empty, "serve", "--port", str(port)) as app,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as http,
    ):
        until(lambda: answers(app, http), "the app to listen")
        assert http.get("/readyz").json()["status"] == "ready"
        page = http.get("/", follow_redirects=True)  # the first run, as there is no host
        assert page.status_code == 200
        manifest = json.loads((ROOT / "static/dist/manifest.json").read_text())
        named = [name for name in manifest.values() if name in page.text]
        assert len(named) > 2
        for name in named:
            asset = http.get(f"/static/{name}")
            assert asset.status_code == 200
            assert asset.content
        models = http.get("/api/v1/models").json()["models"]
        assert {"qwen3-32b"} <= {model["id"] for model in models}
        assert app.stop() == 0
    assert {entry.name for entry in empty.iterdir()} == {"data"}
    with sqlite3.connect(empty / "data" / "spark-control.db") as database:
        tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master")}
    database.close()
    assert {"alembic_version", "swaps"} <= tables


@pytest.mark.sim
def test_a_swap_and_an_answer_with_nothing_but_the_wheel(installed: Installed, empty: Path) -> None:
    """Simulated cluster, app and command line all come from the installed package."""
    data = empty / "cluster"
    sim_options = ["--hosts", "1", "--dir", str(data), "--load-seconds", "0.3"]
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with installed.running(empty, "sim", *sim_options) as sim:

        def cluster_is_up() -> bool:
            sim.alive()
            return "\n" in sim.out.read_text()

        until(cluster_is_up, "the simulated cluster")
        with (
            installed.running(empty, "serve", "--data", str(data), "--port", str(port)) as app,
            httpx.Client(base_url=url, timeout=30) as http,
        ):
            until(lambda: answers(app, http), "the app to listen")
            model = local_model(http)
            installed.run(empty, "swap", model, SPARK_CONTROL_URL=url)
            body = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
            answer = http.post("/v1/chat/completions", json=body, timeout=SWAP_SECONDS).json()
            assert answer["choices"][0]["message"]["content"]
            assert app.stop() == 0
        assert sim.stop() == 0


def local_model(http: httpx.Client) -> str:
    models: list[dict[str, Any]] = http.get("/api/v1/models").json()["models"]
    return str(next(m["id"] for m in models if m["source"].get("path") and m["nodes"] == 1))


def test_the_command_line_completes(installed: Installed, empty: Path) -> None:
    """The script is one that bash accepts, and asking it for `sw` names the verbs."""
    script = installed.run(empty, "completion", "bash")
    accepted = subprocess.run(
        ["bash", "--norc", "-c", f"{script}\ncomplete -p spark-control"],
        capture_output=True, text=True, timeout=30, check=True, env={"PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert "_spark_control_completion" in accepted.stdout
    asked = {"COMP_WORDS": "spark-control sw", "COMP_CWORD": "1"}
    said = installed.run(empty, **asked, _SPARK_CONTROL_COMPLETE="bash_complete")
    assert {line.partition(",")[2] for line in said.splitlines()} == {"swap", "swaps", "sweep"}
