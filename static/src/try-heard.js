// What was heard, on the page under /try: text, times, whose words they are, and files to keep. A name
// that a person gives a voice stands in the files too. Text from elsewhere is only ever set as text.
(() => {
  "use strict";

  const kit = window.sparkTry;
  const result = document.getElementById("try-result");
  if (!kit || !result) return;
  const { Failure, element } = kit;

  const SHOWN = 2000;
  const COLOURS = 8;
  const shown = result.querySelector("[data-result]");
  const downloads = result.querySelector("[data-downloads]");

  // ---- reading

  const finite = (number) => (Number.isFinite(number) && number > 0 ? number : 0);
  const segmentsOf = (body) =>
    (Array.isArray(body?.segments) ? body.segments : []).map((one) => ({
      start: finite(one?.start),
      end: finite(one?.end),
      text: String(one?.text ?? "").trim(),
      speaker: one?.speaker == null ? "" : String(one.speaker),
    }));

  // ---- written down

  const clock = (seconds, mark) => {
    const whole = Math.max(0, Math.round(seconds * 1000));
    const two = (number) => String(Math.floor(number)).padStart(2, "0");
    const parts = [two(whole / 3600000), two((whole / 60000) % 60), two((whole / 1000) % 60)];
    return `${parts.join(":")}${mark}${String(whole % 1000).padStart(3, "0")}`;
  };
  const stamp = (seconds) => `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, "0")}`;
  const arrowless = (text) => text.replace(/-->/g, "→");
  const cue = (one, names, mark) => {
    const name = names.get(one.speaker) || one.speaker;
    const line = (name ? `${name}: ${one.text}` : one.text).replace(/\s+/g, " ").trim();
    return mark ? `${clock(one.start, mark)} --> ${clock(one.end, mark)}\n${arrowless(line)}\n` : line;
  };
  const written = {
    txt: (rows, names) => `${rows.map((one) => cue(one, names)).join("\n")}\n`,
    srt: (rows, names) => rows.map((one, at) => `${at + 1}\n${cue(one, names, ",")}`).join("\n"),
    vtt: (rows, names) => `WEBVTT\n\n${rows.map((one) => cue(one, names, ".")).join("\n")}`,
  };
  const TYPES = { txt: "text/plain", srt: "application/x-subrip", vtt: "text/vtt", json: "application/json" };

  // ---- files

  const urls = [];
  const forget = () => {
    urls.splice(0).forEach((url) => URL.revokeObjectURL(url));
    downloads.replaceChildren();
  };
  const offer = (stem, suffix, text) => {
    const url = URL.createObjectURL(new Blob([text], { type: TYPES[suffix] }));
    urls.push(url);
    const link = element("a", suffix.toUpperCase(), "button quiet");
    link.href = url;
    link.download = `${stem}.${suffix}`;
    link.setAttribute("aria-label", `Download as ${suffix}`);
    downloads.append(link);
  };
  const renamed = (text, names) => {
    if (![...names.values()].some(Boolean)) return text;
    const named = (key, value) => (key === "speaker" && names.get(value)) || value;
    return JSON.stringify(JSON.parse(text, named), null, 2);
  };

  // ---- on the page

  const voices = (rows) => {
    const found = [...new Set(rows.map((one) => one.speaker).filter(Boolean))];
    return new Map(found.map((name, at) => [name, (at % COLOURS) + 1]));
  };
  const list = (rows, colours) => {
    const made = element("ol", "", "segments");
    for (const one of rows.slice(0, SHOWN)) {
      const item = element("li");
      item.append(element("span", `${stamp(one.start)}–${stamp(one.end)}`, "muted"), " ");
      if (one.speaker) {
        item.className = `voice voice-${colours.get(one.speaker)}`;
        const name = element("strong", one.speaker);
        name.dataset.speaker = one.speaker;
        item.append(name, " ");
      }
      item.append(one.text);
      made.append(item);
    }
    return made;
  };
  // A field per voice: what is typed there stands in its place, here and in the files.
  const namesOf = (colours, changed) => {
    const names = new Map();
    const made = element("ul", "", "voices");
    made.setAttribute("aria-label", "Names of the speakers");
    for (const [speaker, colour] of colours) {
      const item = element("li", "", `voice-${colour}`);
      const label = element("label", speaker);
      const input = element("input");
      input.placeholder = "Name";
      input.maxLength = 100;
      input.autocomplete = "off";
      input.id = `f-voice-${made.children.length + 1}`;
      label.htmlFor = input.id;
      input.addEventListener("input", () => {
        names.set(speaker, input.value.trim());
        for (const one of shown.querySelectorAll("[data-speaker]")) {
          if (one.dataset.speaker === speaker) one.textContent = input.value.trim() || speaker;
        }
      });
      input.addEventListener("change", () => changed());
      item.append(label, input);
      made.append(item);
    }
    return [made, names];
  };
  const left = (body) => {
    const gone = Array.isArray(body?.removed) ? body.removed : [];
    if (!gone.length) return null;
    const made = element("details", "", "small");
    made.append(element("summary", `${gone.length} words of the loudspeaker were taken out of the microphone`));
    made.append(element("p", gone.slice(0, SHOWN).map((one) => String(one?.word ?? "")).join(" "), "muted"));
    return made;
  };
  const gaps = (body) => {
    const found = Array.isArray(body?.gaps) ? body.gaps : [];
    if (!found.length) return null;
    const told = found.map((one) => `${stamp(finite(one?.start))}–${stamp(finite(one?.end))}`).join(", ");
    const made = element("p", `Could not be transcribed: ${told}.`, "trouble bad");
    made.setAttribute("role", "alert");
    return made;
  };

  // `text` as it came, `kind` its media type, `format` what was asked for, `stem` the files' name.
  const draw = (text, kind, format, stem) => {
    let body = null;
    if (kind.startsWith("application/json")) {
      try {
        body = JSON.parse(text);
      } catch {
        throw new Failure("What came back cannot be read.");
      }
    }
    const rows = segmentsOf(body);
    if (body && !rows.length && typeof body.text !== "string") {
      throw new Failure("What came back is not a transcript.", "Whatever answers may be another kind of service: look at its log.");
    }
    const colours = voices(rows);
    const plain = new Map();
    const words = body ? String(body.text ?? rows.map((one) => cue(one, plain)).join("\n")) : text;
    const prose = element("div", words.trim() || "Nothing was heard.", "prose");
    prose.dataset.text = "";
    const [fields, names] = namesOf(colours, () => files());
    const files = () => {
      forget();
      if (!body) {
        offer(stem, { srt: "srt", vtt: "vtt" }[format] || "txt", text);
        return;
      }
      offer(stem, "txt", colours.size ? written.txt(rows, names) : `${words.trim()}\n`);
      if (rows.length) for (const suffix of ["srt", "vtt"]) offer(stem, suffix, written[suffix](rows, names));
      offer(stem, "json", renamed(text, names));
    };
    shown.replaceChildren(prose);
    const missing = gaps(body);
    if (missing) shown.prepend(missing);
    if (rows.length) {
      if (colours.size) shown.append(fields);
      shown.append(list(rows, colours));
      if (rows.length > SHOWN) shown.append(element("p", `The first ${SHOWN} of ${rows.length} parts. The files have all of them.`, "muted small"));
    }
    for (const warning of Array.isArray(body?.warnings) ? body.warnings.slice(0, 20) : []) {
      shown.append(element("p", String(warning), "muted small"));
    }
    const removed = left(body);
    if (removed) shown.append(removed);
    files();
    result.hidden = false;
    result.scrollIntoView({ block: "nearest" });
  };

  window.sparkHeard = Object.freeze({ draw, hide: () => { result.hidden = true; } });
})();
