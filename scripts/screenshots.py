"""`make screenshots`: every page at desktop and phone width, in light and dark, into `build/`.

Runs inside the locked environment over the demo's own simulated cluster, so what is drawn is what
a stranger sees after `make demo`: a model served, a swap under way, one that failed. Refuses to
judge: the pictures are for people; what can be checked is in `tests/browser`.
"""

from __future__ import annotations

import argparse
import shutil
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from demo import (
    HOST,
    Demo,
    DemoError,
    Interrupts,
    ask,
    choose_model,
    say,
    start_app,
    start_cluster,
    swap_in,
)
from playwright.sync_api import Browser, Page, sync_playwright

from server.cli.client import Client, path
from server.cli.errors import CliError
from server.cli.inert import inert

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "build" / "screenshots"
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
LOAD_SECONDS = 6.0
QUIET_MILLISECONDS = 400
"""What a page gets after it is loaded, for its charts and the first event."""


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
    """Takes each page in every width and theme; remembers what could not be taken."""

    def __init__(self, browser: Browser, url: str, out: Path) -> None:
        self._browser = browser
        self._url = url
        self._out = out
        self.missing: list[str] = []

    def take(self, wanted: Sequence[Shot]) -> None:
        for width, (across, down) in WIDTHS.items():
            for theme in THEMES:
                context = self._browser.new_context(
                    viewport={"width": across, "height": down},
                    color_scheme="dark" if theme == "dark" else "light",
                    reduced_motion="reduce",
                )
                page = context.new_page()
                for shot in wanted:
                    self._one(page, shot, f"{shot.name}-{width}-{theme}.png")
                context.close()

    def _one(self, page: Page, shot: Shot, name: str) -> None:
        # Not "networkidle": the event stream never ends.
        answer = page.goto(self._url + shot.address, wait_until="load")
        if answer is None or answer.status >= 400:
            self.missing.append(f"{shot.address}: {'no answer' if not answer else answer.status}")
            return
        page.wait_for_timeout(QUIET_MILLISECONDS)
        page.screenshot(path=self._out / name, full_page=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def first(client: Client, what: str) -> str:
    """The name of the first host or service."""
    return str(client.get_list(path(what), what)[0]["name"])


def run(demo: Demo, names: Sequence[str]) -> list[str]:
    """Everything from the cluster to the pictures; returns what could not be taken."""
    port = free_port()
    url = f"http://{HOST}:{port}"
    say("Starting a simulated cluster and the app …")
    start_cluster(demo, LOAD_SECONDS, "none")
    start_app(demo, port)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    with Client(url) as client, chromium() as browser:
        model = choose_model(client)
        swap_in(client, model)
        ask(client, model)
        swap = str(client.get_list(path("swaps"), "swaps")[0]["id"])
        wanted = shots(model, first(client, "hosts"), first(client, "services"), swap)
        camera = Camera(browser, url, OUT)
        say("\nTaking pictures …")
        camera.take([shot for shot in wanted if not names or shot.name in names])
        during = Shot("swap-under-way", "/")
        if not names or during.name in names:
            client.post(path("swaps"), {"model": another(client, model)})
            camera.take([during])
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
    parser.add_argument("names", nargs="*", help="only these, e.g. overview swap")
    options = parser.parse_args(argv)
    interrupts = Interrupts()
    missing: list[str] = []
    with ExitStack() as stack:
        try:
            missing = run(Demo(stack, interrupts), options.names)
        except (DemoError, CliError) as error:
            missing = [inert(error)]
        interrupts.ignore()
    for line in sorted(set(missing)):
        sys.stderr.write(f"not taken: {line}\n")
    say(f"{len(list(OUT.glob('*.png')))} pictures in {OUT.relative_to(ROOT)}/")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
