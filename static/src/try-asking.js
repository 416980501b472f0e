// What the pages under /try share: asking the gateway as the dashboard, telling in words what went
// wrong, one request at a time with a way to stop it. Text from elsewhere is only ever set as text.
(() => {
  "use strict";

  const form = document.getElementById("try-form");
  if (!form) return;

  for (const one of form.querySelectorAll("[data-scripted]")) one.disabled = false;

  // ---- failures: {message, advice, requestId}

  class Failure extends Error {
    constructor(message, advice = "", requestId = "") {
      super(message);
      this.advice = advice;
      this.requestId = requestId;
    }
  }
  const told = (error, requestId) =>
    new Failure(
      String(error.message || "It failed without a word."),
      String(error.advice || ""),
      String(error.request_id || requestId || ""),
    );
  // Of an answer that is not one: ours say why, others (a proxy's page) are not repeated.
  const failureOf = (status, text, requestId) => {
    try {
      return told(JSON.parse(text).error, requestId);
    } catch {
      return new Failure(`The answer (HTTP ${status}) does not come from Spark Control.`, "", requestId || "");
    }
  };
  const unreachable = () =>
    new Failure("Spark Control could not be reached, or the connection broke.", "Try again in a moment.");

  const place = document.getElementById("try-failure");
  const element = (name, text = "", className = "") => {
    const made = document.createElement(name);
    if (text) made.textContent = text;
    if (className) made.className = className;
    return made;
  };
  const show = (failure) => {
    const box = element("div", "", "trouble bad");
    box.setAttribute("role", "alert");
    const line = element("p");
    line.append(element("strong", failure.message));
    if (failure.advice) line.append(` ${failure.advice}`);
    box.append(line);
    if (failure.requestId) {
      const id = element("p", "Request ", "muted small");
      const activity = element("a", "activity");
      activity.href = "/activity";
      id.append(element("code", failure.requestId), ": the log and the ", activity, " know it by this id.");
      box.append(id);
    }
    place.replaceChildren(box);
    box.scrollIntoView({ block: "nearest" });
  };
  const clear = () => place.replaceChildren();

  // ---- asking

  const address = (path) => `/ui/try/v1${path}`;
  // The answer, when it is one; else a Failure. An AbortError passes.
  const post = async (path, body, signal) => {
    let answer;
    try {
      answer = await fetch(address(path), {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
        signal,
      });
    } catch (error) {
      throw error.name === "AbortError" ? error : unreachable();
    }
    if (answer.ok) return answer;
    throw failureOf(answer.status, await answer.text(), answer.headers.get("x-request-id"));
  };

  // ---- one request at a time: `act` is given a signal, and its failure is shown

  const send = form.querySelector("[data-send]");
  const stop = form.querySelector("[data-stop]");
  let running = null;
  const run = async (act) => {
    if (running) return;
    running = new AbortController();
    clear();
    const focused = document.activeElement === send;
    send.disabled = true;
    stop.hidden = false;
    if (focused) stop.focus();
    form.setAttribute("aria-busy", "true");
    try {
      await act(running.signal);
    } catch (error) {
      if (error.name !== "AbortError") show(error instanceof Failure ? error : new Failure(String(error.message)));
    } finally {
      const back = document.activeElement === stop;
      running = null;
      send.disabled = false;
      stop.hidden = true;
      if (back) send.focus();
      form.removeAttribute("aria-busy");
    }
  };
  const halt = () => running?.abort();
  stop.addEventListener("click", halt);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && running) {
      event.preventDefault();
      halt();
    }
  });
  addEventListener("pagehide", halt);

  // ---- small things

  const seconds = (value) => (value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(1)} s`);
  const size = (bytes) => (bytes < 1 << 20 ? `${Math.max(1, Math.round(bytes / 1024))} KiB` : `${(bytes / (1 << 20)).toFixed(1)} MiB`);
  const field = (name) => form.elements.namedItem(name);
  const value = (name) => field(name)?.value ?? "";
  const number = (name) => Number(value(name).trim().replace(",", "."));
  // The code beside the form is asked for anew when the form says that something changed.
  const changed = () => form.dispatchEvent(new Event("input", { bubbles: true }));
  let kept = "";
  const keep = (blob) => {
    if (kept) URL.revokeObjectURL(kept);
    kept = URL.createObjectURL(blob);
    return kept;
  };
  const toClipboard = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Over plain HTTP a browser gives no clipboard.
      const held = element("textarea");
      held.value = text;
      held.className = "sr-only";
      document.body.append(held);
      held.select();
      document.execCommand("copy");
      held.remove();
    }
  };

  window.sparkTry = Object.freeze({
    form, Failure, told, failureOf, unreachable, show, clear, element, address, post, run, halt,
    seconds, size, field, value, number, changed, keep, toClipboard,
    busy: () => running !== null,
  });
})();
