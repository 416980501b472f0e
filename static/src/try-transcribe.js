// A recording sent with its progress, and what was heard: text, times, speakers, and files to keep.
(() => {
  "use strict";

  const kit = window.sparkTry;
  const drop = document.getElementById("drop");
  if (!kit || !drop) return;
  const { form, Failure, element, value } = kit;

  const SHOWN = 2000;
  const file = kit.field("file");
  const status = document.getElementById("try-status");
  const progress = document.getElementById("try-progress");
  const bar = progress.querySelector("progress");
  const result = document.getElementById("try-result");
  const shown = result.querySelector("[data-result]");
  const downloads = result.querySelector("[data-downloads]");
  const preview = form.querySelector("[data-preview]");

  // ---- choosing

  let address = "";
  const chosen = () => {
    const one = file.files[0];
    if (address) URL.revokeObjectURL(address);
    address = one ? URL.createObjectURL(one) : "";
    preview.hidden = !one;
    if (one) preview.src = address;
    kit.field("filename").value = one?.name || "recording.wav";
    kit.changed();
  };
  file.addEventListener("change", chosen);
  drop.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files.length) {
      const list = new DataTransfer();
      list.items.add(event.dataTransfer.files[0]);
      file.files = list.files;
      chosen();
    }
  });
  // A service hears, or it tells who spoke; the other choices of the form follow.
  const model = kit.field("model");
  const task = kit.field("task");
  const fit = () => {
    const who = task.value === "diarize";
    for (const group of model.querySelectorAll("optgroup")) {
      group.disabled = (group.dataset.kind === "diarize") !== who;
    }
    if (!model.selectedOptions[0] || model.selectedOptions[0].parentElement.disabled) {
      const first = [...model.options].find((one) => !one.parentElement.disabled);
      if (first) first.selected = true;
    }
    kit.field("response_format").disabled = who;
    kit.field("language").disabled = who;
    kit.field("words").disabled = who || value("response_format") !== "verbose_json";
  };
  for (const option of task.options) {
    if (option.value === "diarize") option.disabled = !model.querySelector('optgroup[data-kind="diarize"]');
  }
  task.addEventListener("change", fit);
  kit.field("response_format").addEventListener("change", fit);
  fit();

  // ---- sending: only XMLHttpRequest tells how much of an upload is out

  const fields = () => {
    const data = new FormData();
    data.append("model", value("model"));
    if (task.value !== "diarize") {
      data.append("response_format", value("response_format"));
      if (value("language").trim()) data.append("language", value("language").trim());
      if (kit.field("words").checked && value("response_format") === "verbose_json") {
        data.append("timestamp_granularities[]", "word");
        data.append("timestamp_granularities[]", "segment");
      }
    }
    data.append("file", file.files[0], file.files[0].name);
    return data;
  };
  const upload = (path, data, signal) =>
    new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open("POST", kit.address(path));
      request.upload.addEventListener("progress", (event) => {
        bar.max = event.total;
        bar.value = event.loaded;
        status.textContent = `Sent ${kit.size(event.loaded)} of ${kit.size(event.total)}.`;
      });
      request.upload.addEventListener("load", () => {
        bar.removeAttribute("value");
        status.textContent = "Sent. The service is listening.";
      });
      request.addEventListener("load", () => {
        const id = request.getResponseHeader("x-request-id");
        if (request.status < 400) resolve([request.responseText, request.getResponseHeader("content-type") || ""]);
        else reject(kit.failureOf(request.status, request.responseText, id));
      });
      request.addEventListener("error", () => reject(kit.unreachable()));
      request.addEventListener("abort", () => reject(new DOMException("stopped", "AbortError")));
      signal.addEventListener("abort", () => request.abort());
      request.send(data);
    });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!file.files.length) {
      kit.show(new Failure("Choose a recording first, or record one."));
      return;
    }
    const most = Number(drop.dataset.most);
    if (file.files[0].size > most * (1 << 20)) {
      kit.show(new Failure(`This file has ${kit.size(file.files[0].size)}; at most ${most} MiB are taken.`, "gateway.max_upload_mb says how much."));
      return;
    }
    kit.run(async (signal) => {
      result.hidden = true;
      progress.hidden = false;
      bar.value = 0;
      status.textContent = "Sending.";
      const began = performance.now();
      try {
        const [text, kind] = await upload(`/audio/${task.value}`, fields(), signal);
        draw(text, kind);
        status.textContent = `Heard in ${kit.seconds((performance.now() - began) / 1000)}.`;
      } catch (error) {
        status.textContent = error.name === "AbortError" ? "Cancelled." : "";
        throw error;
      } finally {
        progress.hidden = true;
      }
    });
  });

  // ---- what was heard

  const clock = (seconds, comma) => {
    const whole = Math.max(0, Math.round(seconds * 1000));
    const two = (number) => String(Math.floor(number)).padStart(2, "0");
    const parts = [two(whole / 3600000), two((whole / 60000) % 60), two((whole / 1000) % 60)];
    return `${parts.join(":")}${comma}${String(whole % 1000).padStart(3, "0")}`;
  };
  const stamp = (seconds) => `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, "0")}`;
  const finite = (number) => (Number.isFinite(number) && number > 0 ? number : 0);
  const segmentsOf = (body) =>
    (Array.isArray(body?.segments) ? body.segments : []).map((one) => ({
      start: finite(one?.start),
      end: finite(one?.end),
      text: String(one?.text ?? "").trim(),
      speaker: one?.speaker == null ? "" : String(one.speaker),
    }));
  const line = (one) => (one.speaker ? `${one.speaker}: ${one.text}` : one.text).replace(/\s+/g, " ").trim();
  const srt = (rows) => rows.map((one, at) => `${at + 1}\n${clock(one.start, ",")} --> ${clock(one.end, ",")}\n${line(one)}\n`).join("\n");
  const vtt = (rows) => `WEBVTT\n\n${rows.map((one) => `${clock(one.start, ".")} --> ${clock(one.end, ".")}\n${line(one).replace(/-->/g, "→")}\n`).join("\n")}`;

  const urls = [];
  const offer = (suffix, text, type) => {
    const url = URL.createObjectURL(new Blob([text], { type }));
    urls.push(url);
    const link = element("a", suffix.toUpperCase(), "button quiet");
    link.href = url;
    link.download = `${(file.files[0]?.name || "recording").replace(/\.[^.]*$/, "")}.${suffix}`;
    link.setAttribute("aria-label", `Download as ${suffix}`);
    downloads.append(link);
  };
  const draw = (text, kind) => {
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
    const words = body ? String(body.text ?? rows.map(line).join("\n")) : text;
    urls.splice(0).forEach((url) => URL.revokeObjectURL(url));
    downloads.replaceChildren();
    shown.replaceChildren(element("div", words.trim() || "Nothing was heard.", "prose"));
    shown.firstElementChild.dataset.text = "";
    if (rows.length) {
      const list = element("ol", "", "segments");
      for (const one of rows.slice(0, SHOWN)) {
        const item = element("li");
        item.append(element("span", `${stamp(one.start)}–${stamp(one.end)}`, "muted"), " ");
        if (one.speaker) item.append(element("strong", one.speaker), " ");
        item.append(one.text);
        list.append(item);
      }
      shown.append(list);
      if (rows.length > SHOWN) shown.append(element("p", `The first ${SHOWN} of ${rows.length} parts. The files have all of them.`, "muted small"));
    }
    const format = value("response_format");
    if (body) {
      offer("txt", rows.some((one) => one.speaker) ? `${rows.map(line).join("\n")}\n` : `${words.trim()}\n`, "text/plain");
      if (rows.length) {
        offer("srt", srt(rows), "application/x-subrip");
        offer("vtt", vtt(rows), "text/vtt");
      }
      offer("json", text, "application/json");
    } else {
      offer({ srt: "srt", vtt: "vtt" }[format] || "txt", text, "text/plain");
    }
    result.hidden = false;
    result.scrollIntoView({ block: "nearest" });
  };
})();
