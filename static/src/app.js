// What htmx leaves to the page: saying when it is stale, counting ages on, and showing in words
// why a form could not be sent. Text from the server is only ever set as text.
(() => {
  "use strict";

  const SILENCE = 20000; // the server beats every 15 s; after this the connection is taken for dead
  const PATIENCE = 1500; // a break shorter than this is not worth a word
  const RETRY = 5000;
  const SAMPLES = 1900; // samples come every second
  const INFO = 6000;

  document.documentElement.classList.add("scripted");
  const events = document.getElementById("events");
  const note = document.getElementById("stale");
  // Ages are counted by the server's clock, whatever the clock of this machine says.
  const skew = Date.now() - Date.parse(document.body.dataset.now);
  const now = () => Date.now() - skew;

  let connection = null;
  let heard = Date.now();
  let lost = Date.now(); // when the connection was lost; 0 while it stands

  // ---- live or stale

  const up = (event) => {
    connection = event.detail.connection;
    heard = Date.now();
    lost = 0;
    tick();
  };
  const down = () => {
    lost = lost || Date.now();
  };
  // The session is over: what is shown here may not be shown any more.
  const toLogin = () => {
    const wanted = encodeURIComponent(location.pathname + location.search);
    location.assign(`/login?next=${wanted}`);
  };
  events.addEventListener("htmx:sse:after:connection", up);
  events.addEventListener("htmx:sse:after:message", () => {
    heard = Date.now();
  });
  events.addEventListener("htmx:sse:error", (event) => {
    if (event.detail?.status === 401) toLogin();
    down();
  });
  events.addEventListener("htmx:sse:close", () => {
    connection = null;
    down();
  });
  events.addEventListener("htmx:sse:before:connection", (event) => {
    if (event.detail.connection.attempt > 0) down();
  });

  // ---- samples of hosts: each card hears of its own host alone

  const parsed = (event) => {
    try {
      return JSON.parse(event.detail.data);
    } catch {
      return {};
    }
  };
  // What nobody sees is not fetched: the next sample after one has scrolled there is a second away.
  const inSight = (element) => {
    const { top, bottom } = element.getBoundingClientRect();
    return bottom > -200 && top < innerHeight + 200;
  };
  // Of a host that is up every second sample is drawn, and that at once: to wait for a throttle
  // would show each of them late. All else that is told of a host is drawn when it comes.
  const drawn = new Map();
  const due = (told) => {
    const last = drawn.get(told.name);
    const passing = last?.health === "up" && told.health === "up";
    if (passing && Date.now() - last.at < SAMPLES) return false;
    drawn.set(told.name, { at: Date.now(), health: told.health });
    return true;
  };
  events.addEventListener("host", (event) => {
    const told = parsed(event);
    const cards = document.querySelectorAll(`[data-sampled="${CSS.escape(told.name ?? "")}"]`);
    if (due(told)) for (const card of cards) if (inSight(card)) htmx.trigger(card, "sampled");
    const list = document.getElementById("hosts");
    if (list && (told.removed || cards.length === 0)) htmx.trigger(list, "hosts-changed");
    for (const place of document.querySelectorAll("[data-curves]")) {
      if (place.dataset.curves === told.name) {
        place.dispatchEvent(new CustomEvent("sample", { detail: told }));
      }
    }
  });

  const watch = () => {
    if (document.hidden) return; // paused on purpose: it connects again when it is looked at
    if (!lost && Date.now() - heard > SILENCE) {
      // Dead without a word (a sleeping laptop, a lost Wi-Fi): ending the reader makes it connect anew.
      heard = Date.now();
      down();
      connection?.reader?.cancel();
    }
    if (!connection && lost && Date.now() - lost > RETRY && Date.now() - heard > RETRY) {
      // The very first connection failed, or was answered with an error: nobody tries again for us.
      heard = Date.now();
      htmx.ajax("GET", events.getAttribute("hx-sse:connect"), { source: events, timeout: 10000 });
    }
  };

  const clock = new Intl.DateTimeFormat([], { timeStyle: "medium" });
  const mark = () => {
    const stale = lost !== 0 && !document.hidden && Date.now() - lost > PATIENCE;
    if (stale && note.hidden) {
      note.querySelector("[data-stale-since]").textContent = clock.format(lost);
    }
    note.hidden = !stale;
    document.documentElement.classList.toggle("stale", stale);
    document.documentElement.dataset.live = lost === 0 ? "yes" : "no";
  };

  // ---- times

  const ago = (seconds) => {
    if (seconds < 2) return "now";
    if (seconds < 60) return `${Math.floor(seconds)} s ago`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
    if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h ago`;
    return `${Math.floor(seconds / 86400)} days ago`;
  };
  const duration = (seconds) => {
    if (seconds < 10) return `${seconds.toFixed(1)} s`;
    const whole = Math.round(seconds);
    if (whole < 60) return `${whole} s`;
    return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  };
  const write = (element, text) => {
    if (element.textContent !== text) element.textContent = text;
  };
  const count = () => {
    for (const element of document.querySelectorAll("time[data-ago]")) {
      write(element, ago((now() - Date.parse(element.dateTime)) / 1000));
    }
    for (const element of document.querySelectorAll("[data-running]")) {
      const seconds = (now() - Date.parse(element.dataset.running)) / 1000;
      write(element, duration(Math.max(0, seconds)));
    }
  };

  // ---- what became of a form

  let clearing = 0;
  const flash = (level, text) => {
    const place = document.getElementById("flash");
    const line = document.createElement("p");
    const strong = document.createElement("strong");
    strong.textContent = text;
    line.append(strong);
    const dismiss = document.createElement("a");
    dismiss.className = "dismiss";
    dismiss.href = ""; // the page one is on
    dismiss.dataset.dismiss = "";
    dismiss.textContent = "Dismiss";
    place.className = `flash ${level}`;
    place.dataset.level = level;
    place.setAttribute("role", level === "error" ? "alert" : "status");
    place.replaceChildren(line, dismiss);
    settle();
  };
  const settle = () => {
    const place = document.getElementById("flash");
    clearTimeout(clearing);
    if (place.dataset.level === "info") {
      clearing = setTimeout(clear, INFO); // an error stays until it is dismissed
    }
  };
  const clear = () => {
    const place = document.getElementById("flash");
    place.replaceChildren();
    place.className = "flash";
    place.dataset.level = "";
  };
  document.addEventListener("click", (event) => {
    if (!event.target.closest?.("[data-dismiss]")) return;
    event.preventDefault();
    clear();
  });
  // ---- a list that is narrowed as one types

  const narrow = () => {
    for (const field of document.querySelectorAll("[data-narrows]")) {
      const wanted = field.value.trim().toLowerCase();
      for (const list of document.querySelectorAll(field.dataset.narrows)) {
        for (const row of list.children) {
          row.hidden = wanted !== "" && !row.textContent.toLowerCase().includes(wanted);
        }
        const fold = list.closest("details");
        if (fold && wanted !== "") fold.open = true;
      }
    }
  };
  document.addEventListener("input", (event) => event.target.matches("[data-narrows]") && narrow());
  document.addEventListener("htmx:after:swap", narrow);

  // ---- acts that are asked about twice, and text to take away

  const closeConfirms = (but) => {
    for (const one of document.querySelectorAll("details.confirm[open]")) {
      if (one !== but) one.open = false;
    }
  };
  document.addEventListener("click", (event) => {
    const inside = event.target.closest?.("details.confirm");
    const kept = event.target.closest?.("[data-close]");
    closeConfirms(kept ? null : inside);
    if (kept) inside?.querySelector("summary").focus();
    const button = event.target.closest?.("[data-copy]");
    if (button) copy(button);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const open = event.target.closest?.("details.confirm[open]");
    closeConfirms(null);
    open?.querySelector("summary").focus();
  });
  const copy = async (button) => {
    const wanted = button.dataset.copy;
    const source = wanted ? document.querySelector(wanted) : button.parentElement.querySelector("pre");
    const done = (await toClipboard(source)) ? "Copied" : "Press Ctrl+C";
    const word = button.querySelector("[data-copied]");
    const before = word.dataset.copied || word.textContent;
    word.dataset.copied = before;
    word.textContent = done;
    setTimeout(() => (word.textContent = before), 2000);
  };
  const toClipboard = async (source) => {
    try {
      await navigator.clipboard.writeText(source.value ?? source.textContent);
      return true;
    } catch {
      // Over plain HTTP a browser gives no clipboard: select it and use the old way.
      const range = document.createRange();
      range.selectNodeContents(source);
      const chosen = getSelection();
      chosen.removeAllRanges();
      chosen.addRange(range);
      return document.execCommand("copy");
    }
  };

  const complaint = (ctx) => {
    try {
      const error = JSON.parse(ctx.text).error;
      return [error.message, error.advice].filter(Boolean).join(" ");
    } catch {
      return `The answer (HTTP ${ctx.response.status}) does not come from Spark Control.`;
    }
  };
  const isForm = (ctx) => ctx?.sourceElement instanceof HTMLFormElement;

  htmx.registerExtension("spark", {
    // Only what this server drew is put into the page: not the error page of a proxy, not JSON.
    htmx_before_swap: (element, detail) => {
      const ctx = detail.ctx;
      if (ctx.response?.headers?.get("x-spark-fragment")) return true;
      if (ctx.response?.status === 401) toLogin();
      if (isForm(ctx)) flash("error", complaint(ctx));
      return false;
    },
    htmx_after_swap: (element, detail) => {
      if (!isForm(detail.ctx)) return;
      const fold = detail.ctx.sourceElement.closest("details.confirm");
      closeConfirms(null);
      // The button that was pressed is folded away: whoever uses the keyboard goes on from here.
      const lost = document.activeElement === document.body || fold?.contains(document.activeElement);
      if (fold?.isConnected && lost) fold.querySelector("summary").focus();
      settle();
      document.querySelector("[data-form-message]")?.focus();
      const fine = document.getElementById("flash").dataset.level === "info";
      // Where it is followed: the dashboard and a service's page have such a card, others have none.
      if (fine) document.querySelector(".card.swap")?.scrollIntoView({ block: "nearest" });
    },
    htmx_error: (element, detail) => {
      if (isForm(detail.ctx)) {
        flash("error", "Spark Control could not be reached. Try again in a moment.");
      }
    },
  });

  const tick = () => {
    watch();
    mark();
    count();
  };
  setInterval(tick, 1000);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) {
      heard = Date.now();
      lost = lost && Date.now();
    }
  });
  settle();
})();
