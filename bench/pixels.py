"""From a sample on a Spark to pixels in a browser.

A headless Chromium has the overview open. In it, a reader of the event stream notes when each
host's sample was taken (the host's own clock: the simulated hosts share this machine's), and an
observer notes when that host's card has changed and the next frame is due. What lies between is
the way from the host over SSH, the parser, the bus, the event, the fragment and the drawing.
"""

import shutil
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from bench.table import Row, median, spread
from tests.browser.conftest import FLAGS, PROGRAMS
from tests.e2e.running import running_house

# The newest sample that a card can show when it changes is the last one heard of: the page itself
# is told by the same stream. A card that changes again without a newer sample says nothing new.
WATCH = """
() => {
  const taken = {}, shown = {}, lags = [];
  const events = new EventSource("/api/v1/events?types=host");
  events.addEventListener("host", (event) => {
    const told = JSON.parse(event.data);
    if (told.sample?.at) taken[told.name] = Date.parse(told.sample.at);
  });
  new MutationObserver((changes) => {
    const hosts = new Set();
    for (const change of changes) {
      const element = change.target.nodeType === 1 ? change.target : change.target.parentElement;
      const card = element?.closest("[data-sampled]");
      if (card) hosts.add(card.dataset.sampled);
    }
    requestAnimationFrame(() => requestAnimationFrame(() => {
      for (const name of hosts) {
        if (taken[name] && shown[name] !== taken[name]) {
          shown[name] = taken[name];
          lags.push(Date.now() - taken[name]);
        }
      }
    }));
  }).observe(document.body, {
    subtree: true, childList: true, attributes: true, characterData: true,
  });
  window.lags = lags;
}
"""


def measure(place: Path, *, quick: bool) -> list[Row]:
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        return [Row("sample to pixels", None, "ms", note="no Chromium here")]
    wanted, patience = (1, 20.0) if quick else (30, 90.0)
    with running_house(place, hosts=2) as house, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        page = browser.new_page()
        page.goto(house.url)
        page.evaluate(WATCH)
        lags: list[float] = []
        end = time.monotonic() + patience
        while len(lags) < wanted and time.monotonic() < end:
            page.wait_for_timeout(500)
            lags = page.evaluate("window.lags")
        browser.close()
    if not lags:
        return [Row("sample to pixels", None, "ms", note="no card of a host changed")]
    note = f"{len(lags)} samples, {spread(lags, 'ms')}"
    return [Row("sample on the host to pixels in Chromium", median(lags), "ms", note=note)]
