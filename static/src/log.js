// A log that is read on: searched, paused, kept bounded, and left where it is while somebody reads.
// What a line says is only ever set as text; how it looks are class names of the list below.
(() => {
  "use strict";

  const MOST = 2000; // lines that are kept on the page, as on the server
  const NEAR = 24; // so close to the end counts as at the end
  const POLL = 3000;
  const PACE = 250;
  const LOOKS = new Set(
    "bold dim italic underline dark red green yellow blue magenta cyan light".split(" "),
  );
  const events = document.getElementById("events");
  const clock = new Intl.DateTimeFormat([], { timeStyle: "medium" });

  const span = (text, look) => {
    const made = document.createElement("span");
    made.className = look;
    made.textContent = text;
    return made;
  };
  const looks = (words) =>
    words
      .split(" ")
      .filter((word) => LOOKS.has(word))
      .map((word) => `a-${word}`)
      .join(" ");

  const styled = (line) => {
    const parts = [];
    let at = 0;
    for (const [begin, end, words] of line.spans) {
      if (begin > at) parts.push(line.text.slice(at, begin));
      parts.push(span(line.text.slice(begin, end), looks(words)));
      at = end;
    }
    parts.push(line.text.slice(at));
    return parts;
  };

  // A search shows where it is found; then the colours would only be in the way.
  const marked = (text, lowered, wanted) => {
    const parts = [];
    let at = 0;
    for (let found = lowered.indexOf(wanted); found >= 0; found = lowered.indexOf(wanted, at)) {
      const hit = document.createElement("mark");
      hit.textContent = text.slice(found, found + wanted.length);
      parts.push(text.slice(at, found), hit);
      at = found + wanted.length;
    }
    parts.push(text.slice(at));
    return parts;
  };

  class Viewer {
    constructor(root) {
      this.root = root;
      this.place = root.querySelector("[data-log-lines]");
      this.rows = root.querySelector("[data-log-rows]");
      this.said = root.querySelector("[data-log-said]");
      this.newest = root.querySelector("[data-log-newest]");
      this.pauseButton = root.querySelector("[data-log-pause]");
      this.follow = root.dataset.log;
      this.source = root.dataset.logSource;
      this.subject = root.dataset.logSubject;
      this.lines = this.drawn();
      this.next = 0;
      this.run = "";
      this.wanted = "";
      this.pinned = true;
      // What is polled asks a host each time: only when a person wants it.
      this.paused = this.follow === "poll";
      this.busy = false;
      this.more = false;
      this.listen();
      this.toEnd();
      if (this.follow !== "poll" && this.source) this.read();
    }

    // The lines that the server drew, for a log that is not read on.
    drawn() {
      return [...this.rows.querySelectorAll(".log-line")].map((element) => ({
        element,
        text: element.querySelector(".text").textContent,
        spans: null,
        mark: element.classList.contains("mark"),
      }));
    }

    listen() {
      this.root.querySelector("[data-log-search]").addEventListener("input", (event) => {
        clearTimeout(this.searching);
        const wanted = event.target.value.toLowerCase();
        this.searching = setTimeout(() => this.search(wanted), 120);
      });
      this.place.addEventListener("scroll", () => {
        const left = this.place.scrollHeight - this.place.scrollTop - this.place.clientHeight;
        this.pinned = left < NEAR;
        this.newest.hidden = this.pinned;
      });
      this.newest.addEventListener("click", () => {
        this.toEnd();
        this.place.focus();
      });
      this.pauseButton?.addEventListener("click", () => this.pause(!this.paused));
      if (this.follow === "swap") {
        events.addEventListener("snapshot", () => this.read());
        events.addEventListener("swap", (event) => this.hear(event.detail.data));
      }
    }

    gone() {
      return !this.root.isConnected;
    }

    hear(data) {
      if (this.gone()) return;
      let told;
      try {
        told = JSON.parse(data);
      } catch {
        return;
      }
      if (told.id !== this.subject) return;
      if (told.finished_at || told.log_lines !== this.next) this.read();
    }

    pause(paused) {
      this.paused = paused;
      const polls = this.follow === "poll";
      this.pauseButton.setAttribute("aria-pressed", String(polls ? !paused : paused));
      this.pauseButton.querySelector("[data-log-pause-word]").textContent = polls
        ? paused
          ? "Follow"
          : "Stop following"
        : paused
          ? "Resume"
          : "Pause";
      if (!paused) this.read();
      this.tell();
    }

    // One request at a time, at most a few a second; what comes meanwhile is asked for afterwards.
    async read() {
      if (this.paused || this.gone()) return;
      if (this.busy) {
        this.more = true;
        return;
      }
      this.busy = true;
      this.more = false;
      try {
        await (this.follow === "poll" ? this.readWhole() : this.readOn());
        this.trouble = "";
      } catch (error) {
        this.trouble = error.message || "The log could not be read.";
      }
      this.tell();
      setTimeout(
        () => {
          this.busy = false;
          if (this.more || (this.follow === "poll" && !this.paused)) this.read();
        },
        this.follow === "poll" ? POLL : PACE,
      );
    }

    async ask(query) {
      const answer = await fetch(`${this.source}?${new URLSearchParams(query)}`);
      const body = await answer.json();
      if (!answer.ok) throw new Error(body.error?.message);
      return body;
    }

    async readOn() {
      const known = this.run !== "";
      const body = await this.ask(known ? { after: this.next, run: this.run } : {});
      if (this.paused) return;
      if (known ? body.run !== this.run : body.lines.length) {
        // The first look, or another hearing of the same log: after a restart of the server.
        this.clear();
      } else if (body.first > this.next) {
        this.add([{ text: `… ${body.first - this.next} lines were missed …`, spans: [], mark: true }]);
      }
      this.run = body.run;
      this.next = body.next;
      this.add(body.lines);
    }

    async readWhole() {
      const body = await this.ask({ lines: 500 });
      if (this.paused) return;
      const old = this.lines.map((line) => line.text);
      const fresh = body.lines.slice(overlap(old, body.lines));
      this.add(fresh.map((text) => ({ text, spans: [], mark: false })));
    }

    clear() {
      this.lines = [];
      this.rows.replaceChildren();
    }

    add(lines) {
      if (!lines.length) return;
      const kept = lines.slice(-MOST);
      const piece = document.createDocumentFragment();
      for (const line of kept) {
        line.element = this.draw(line);
        piece.append(line.element);
      }
      this.rows.querySelector("[data-log-quiet]")?.remove();
      this.root.querySelector("[data-log-more]")?.remove();
      this.rows.append(piece);
      this.lines.push(...kept);
      for (const line of this.lines.splice(0, Math.max(0, this.lines.length - MOST))) {
        line.element.remove();
      }
      if (this.pinned) this.toEnd();
    }

    draw(line) {
      const row = document.createElement("div");
      row.className = line.mark ? "log-line mark" : "log-line";
      if (line.at) {
        const time = document.createElement("time");
        time.dateTime = line.at;
        time.textContent = clock.format(new Date(line.at));
        row.append(time, " ");
      }
      const text = document.createElement("span");
      text.className = "text";
      row.append(text);
      line.element = row;
      this.fill(line);
      return row;
    }

    fill(line) {
      const text = line.element.querySelector(".text");
      const lowered = this.wanted ? line.text.toLowerCase() : "";
      line.hit = this.wanted !== "" && lowered.includes(this.wanted);
      line.element.hidden = this.wanted !== "" && !line.hit;
      // A letter that changes its length with its case would move the marks: then there are none.
      const marks = line.hit && lowered.length === line.text.length;
      if (marks) text.replaceChildren(...marked(line.text, lowered, this.wanted));
      else text.replaceChildren(...(line.spans ? styled(line) : [line.text]));
    }

    search(wanted) {
      if (wanted === this.wanted) return;
      this.wanted = wanted;
      for (const line of this.lines) this.fill(line);
      if (this.pinned) this.toEnd();
      this.tell();
    }

    toEnd() {
      this.place.scrollTop = this.place.scrollHeight;
      this.pinned = true;
      this.newest.hidden = true;
    }

    tell() {
      const hits = this.wanted ? this.lines.filter((line) => line.hit).length : 0;
      const said = [];
      if (this.wanted) said.push(`${hits} of ${this.lines.length} lines`);
      if (this.follow === "swap" && this.paused) said.push("paused");
      if (this.follow === "poll" && !this.paused) said.push("following");
      if (this.trouble) said.push(this.trouble);
      const text = said.join(" · ");
      if (this.said.textContent !== text) this.said.textContent = text;
    }
  }

  // How many of the lines that came are the end of those that were there.
  const overlap = (old, fresh) => {
    for (let count = Math.min(old.length, fresh.length); count > 0; count -= 1) {
      const begin = old.length - count;
      let at = 0;
      while (at < count && old[begin + at] === fresh[at]) at += 1;
      if (at === count) return count;
    }
    return 0;
  };

  const seen = new WeakSet();
  const look = () => {
    for (const root of document.querySelectorAll("[data-log]")) {
      if (seen.has(root)) continue;
      seen.add(root);
      new Viewer(root);
    }
  };
  document.addEventListener("htmx:after:swap", look);
  look();
})();
