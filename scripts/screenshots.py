"""`make screenshots`: every page at desktop and phone width, in light and dark, into `build/`.

Runs inside the locked environment over the demo's own simulated cluster, so what is drawn is what
a stranger sees after `make demo`: a model served. After that the states that matter: a swap under
way, one that failed, a host that is gone, a changed host key, nothing configured, a lock. Refuses
to judge: the pictures are for people; what can be checked is in `tests/browser`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from demo import (
    HOST,
    PROGRAM,
    Child,
    Demo,
    DemoError,
    Interrupts,
    ask,
    choose_model,
    say,
    start_app,
    start_cluster,
    swap_in,
    wait_for,
)
from playwright.sync_api import Browser, Page, sync_playwright

from server.cli.client import Client, path
from server.cli.errors import CliError
from server.cli.inert import inert
from server.cli.progress import watch

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "build" / "screenshots"
IMAGES = ROOT / "docs" / "img"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# Without these Chromium looks for hosts of its maker at every start.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDTHS: Mapping[str, tuple[int, int]] = {"desktop": (1280, 900), "phone": (360, 740)}
THEMES = ("light", "dark")
BRIEF = {("desktop", "light"), ("phone", "dark")}
"""Enough for a state that goes by."""
LOAD_SECONDS = 6.0
QUIET_MILLISECONDS = 400
"""What a page gets after it is loaded, for its charts and the first event."""
WAIT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Shot:
    """`name` is the file's, `address` a path of the app."""

    name: str
    address: str


def shots(model: str, host: str, service: str, swap: str) -> tuple[Shot, ...]:
    """Every page of the app, once."""
    of_model, of_swap = quote(model, safe=""), quote(swap, safe="")
    return (
        Shot("overview", "/"),
        Shot("host", f"/hosts/{host}"),
        Shot("models", "/models"),
        Shot("model", f"/models/{of_model}"),
        Shot("model-edit", f"/models/{of_model}/edit"),
        Shot("model-new", "/models/new"),
        Shot("swaps", "/swaps"),
        Shot("swap", f"/swaps/{of_swap}"),
        Shot("services", "/services"),
        Shot("service", f"/services/{service}"),
        Shot("try", "/try"),
        Shot("try-transcribe", "/try/transcribe"),
        Shot("try-speak", "/try/speak"),
        Shot("try-compare", "/try/compare"),
        Shot("activity", "/activity"),
        Shot("settings", "/settings"),
        Shot("settings-hosts", "/settings/hosts"),
        Shot("settings-engine", "/settings/engine"),
        Shot("settings-services", "/settings/services"),
        Shot("settings-gateway", "/settings/gateway"),
        Shot("settings-audio", "/settings/audio"),
        Shot("settings-access", "/settings/access"),
        Shot("settings-keys", "/settings/keys"),
        Shot("settings-backup", "/settings/backup"),
        Shot("settings-about", "/settings/about"),
        Shot("welcome", "/welcome"),
        Shot("styleguide", "/styleguide"),
    )


@contextmanager
def chromium() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        raise DemoError("no Chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield browser
        browser.close()


class Camera:
    """Takes pages in every width and theme; remembers what could not be taken."""

    def __init__(self, browser: Browser, out: Path) -> None:
        self._browser = browser
        self._out = out
        self.missing: list[str] = []

    def take(self, url: str, wanted: Sequence[Shot], *, brief: bool = False) -> None:
        for width in WIDTHS:
            for theme in THEMES:
                if brief and (width, theme) not in BRIEF:
                    continue
                with self._page(width, theme) as page:
                    for shot in wanted:
                        self._one(page, url, shot, self._out / f"{shot.name}-{width}-{theme}.png")

    def screen(self, address: str, width: str, theme: str, place: Path) -> None:
        """What is seen without scrolling."""
        with self._page(width, theme) as page:
            page.goto(address, wait_until="load")
            page.wait_for_timeout(QUIET_MILLISECONDS)
            page.screenshot(path=place)

    @contextmanager
    def _page(self, width: str, theme: str) -> Iterator[Page]:
        across, down = WIDTHS[width]
        context = self._browser.new_context(
            viewport={"width": across, "height": down},
            color_scheme="dark" if theme == "dark" else "light",
            reduced_motion="reduce",
        )
        yield context.new_page()
        context.close()

    def _one(self, page: Page, url: str, shot: Shot, place: Path) -> None:
        size = page.viewport_size
        assert size is not None
        # Not "networkidle": the event stream never ends.
        answer = page.goto(url + shot.address, wait_until="load")
        if answer is None or answer.status >= 400:
            self.missing.append(f"{shot.address}: {'no answer' if not answer else answer.status}")
            return
        page.wait_for_timeout(QUIET_MILLISECONDS)
        # As high as the page: what sticks to the lower edge belongs there.
        whole = page.evaluate("document.documentElement.scrollHeight")
        page.set_viewport_size({"width": size["width"], "height": max(size["height"], whole)})
        page.screenshot(path=place)
        page.set_viewport_size(size)


class Studio:
    """A cluster, the app over it and a camera: each method makes a state and takes it."""

    def __init__(self, demo: Demo, client: Client, url: str, camera: Camera) -> None:
        self._demo = demo
        self._client = client
        self._url = url
        self._camera = camera
        told = (demo.folder / "sim.out").read_text().splitlines()[0]
        self._control = json.loads(told)["control"]

    def pages(self, names: Sequence[str]) -> None:
        """Every page, over a model that is served."""
        model = choose_model(self._client)
        swap_in(self._client, model)
        ask(self._client, model)
        swap = str(self._client.get_list(path("swaps"), "swaps")[0]["id"])
        host, service = first(self._client, "hosts"), first(self._client, "services")
        wanted = shots(model, host, service, swap)
        say("\nTaking pictures …")
        self._camera.take(self._url, [one for one in wanted if not names or one.name in names])

    def under_way(self) -> None:
        swap = self._swap(another(self._client, choose_model(self._client)))
        wanted = [Shot("state-loading", "/"), Shot("state-loading-swap", f"/swaps/{swap}")]
        self._camera.take(self._url, wanted, brief=True)
        watch(self._client, swap)

    def failed(self) -> None:
        """The model that was served before comes back."""
        model = choose_model(self._client)
        self._told("PUT", "/hosts/spark-1/scenario", {"fail": "oom", "only": model})
        swap = self._swap(model)
        watch(self._client, swap)
        wanted = [Shot("state-failed", "/"), Shot("state-failed-swap", f"/swaps/{swap}")]
        self._camera.take(self._url, wanted, brief=True)

    def lost(self) -> None:
        """One host is gone, the key of the other has changed."""
        self._told("POST", "/hosts/spark-2/down")
        self._told("POST", "/hosts/spark-1/new-host-key")
        self._until_none_is_up()
        wanted = [Shot("state-lost", "/"), Shot("state-lost-host", "/hosts/spark-2")]
        wanted.append(Shot("state-new-key", "/settings/hosts/spark-1"))
        self._camera.take(self._url, wanted, brief=True)

    def nothing(self) -> None:
        """An app that knows no host yet; then the same behind a lock."""
        port = free_port()
        data = self._demo.folder / "empty"
        app = self._demo.start("serve", "--host", HOST, "--port", str(port), "--data", str(data))
        url = f"http://{HOST}:{port}"
        until_it_listens(app, url)
        names = ("", "models", "swaps", "services", "try", "activity", "settings/hosts")
        empty = [
            Shot(f"state-empty-{one.replace('/', '-') or 'first'}", f"/{one}") for one in names
        ]
        self._camera.take(url, empty, brief=True)
        password = [PROGRAM, "password", "--data", str(data)]
        subprocess.run(password, input=b"of the pictures\n", check=True, capture_output=True)
        (data / "config.yaml").write_text("auth: {mode: password}\n")
        locked(url)
        self._camera.take(url, [Shot("login", "/login")])

    def readme(self) -> None:
        """The two pictures of README.md: a model is served, and another is being loaded."""
        swap_in(self._client, choose_model(self._client))
        ask(self._client, choose_model(self._client))
        self._camera.screen(self._url, "phone", "dark", IMAGES / "phone.png")
        swap = self._swap(another(self._client, choose_model(self._client)))
        until(lambda: self._state(swap) == "loading", "the model does not load")
        time.sleep(LOAD_SECONDS / 2)
        self._camera.screen(self._url, "desktop", "light", IMAGES / "dashboard.png")

    # ---- driving both sides

    def _swap(self, model: str) -> str:
        made = self._client.as_object(self._client.post(path("swaps"), {"model": model}))
        return str(made["id"])

    def _state(self, swap: str) -> str:
        return str(self._client.get_object(path("swaps", swap))["state"])

    def _told(self, method: str, place: str, body: object = None) -> None:
        """The simulated cluster, of what is to happen to a host."""
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(self._control + place, data=data, method=method)
        with urllib.request.urlopen(asked, timeout=WAIT_SECONDS) as answer:
            answer.read()

    def _until_none_is_up(self) -> None:
        def gone() -> bool:
            hosts = self._client.get_list(path("hosts"), "hosts")
            return all(one["health"] != "up" for one in hosts)

        until(gone, "the hosts do not go away")


def until(ready: Callable[[], bool], otherwise: str) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not ready():
        if time.monotonic() > end:
            raise DemoError(otherwise)
        time.sleep(0.2)


def until_it_listens(app: Child, url: str) -> None:
    def ready() -> bool:
        with Client(url, read_seconds=5.0) as client:
            try:
                client.get("/livez")
            except CliError:
                return False
        return True

    wait_for(app, ready)


def locked(url: str) -> None:
    """Returns when the app asks for a password."""

    def refused() -> bool:
        with Client(url) as client:
            try:
                client.get(path("hosts"))
            except CliError:
                return True
        return False

    until(refused, "the lock does not close")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def first(client: Client, what: str) -> str:
    """The name of the first host or service."""
    return str(client.get_list(path(what), what)[0]["name"])


def run(demo: Demo, names: Sequence[str], *, readme: bool) -> list[str]:
    """Everything from the cluster to the pictures; returns what could not be taken."""
    port = free_port()
    url = f"http://{HOST}:{port}"
    say("Starting a simulated cluster and the app …")
    start_cluster(demo, LOAD_SECONDS, "none")
    start_app(demo, port)
    with Client(url) as client, chromium() as browser:
        camera = Camera(browser, OUT)
        studio = Studio(demo, client, url, camera)
        if readme:
            studio.readme()
            return camera.missing
        shutil.rmtree(OUT, ignore_errors=True)
        OUT.mkdir(parents=True)
        studio.pages(names)
        if not names or "states" in names:
            studio.under_way()
            studio.failed()
            studio.lost()
            studio.nothing()
    return camera.missing


def another(client: Client, model: str) -> str:
    """A local model of one Spark that is not `model`."""
    for one in client.get_list(path("models"), "models"):
        source = one.get("source")
        local = isinstance(source, dict) and bool(source.get("path"))
        if local and one.get("nodes", 1) == 1 and one["id"] != model:
            return str(one["id"])
    raise DemoError("the catalog has no second local model")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="make screenshots", description="Take a picture of every page."
    )
    parser.add_argument("names", nargs="*", help="only these, e.g. overview swap states")
    parser.add_argument("--readme", action="store_true", help="only the two of README.md")
    options = parser.parse_args(argv)
    interrupts = Interrupts()
    missing: list[str] = []
    with ExitStack() as stack:
        try:
            missing = run(Demo(stack, interrupts), options.names, readme=options.readme)
        except (DemoError, CliError) as error:
            missing = [inert(error)]
        interrupts.ignore()
    for line in sorted(set(missing)):
        sys.stderr.write(f"not taken: {line}\n")
    say(f"{len(list(OUT.glob('*.png')))} pictures in {OUT.relative_to(ROOT)}/")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
