// A recording chosen and sent: how far it is on its way, and how much of it was heard already.
(() => {
  "use strict";

  const kit = window.sparkTry;
  const drop = document.getElementById("drop");
  const heard = window.sparkHeard;
  if (!kit || !drop || !heard) return;
  const { form, Failure, value } = kit;

  const file = kit.field("file");
  const system = kit.field("system");
  const second = form.querySelector("[data-second]");
  const status = document.getElementById("try-status");
  const progress = document.getElementById("try-progress");
  const bar = progress.querySelector("progress");
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
  system.addEventListener("change", () => {
    kit.field("second").value = system.files[0]?.name || "system.wav";
    kit.changed();
  });
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
  const diarize = kit.field("diarize");
  const nobodyTells = diarize.disabled;
  const both = () => task.value === "label-merge";
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
    kit.field("words").disabled = who || both() || value("response_format") !== "verbose_json";
    diarize.disabled = nobodyTells || who || both();
    second.hidden = !both();
    system.disabled = kit.field("second").disabled = !both();
    drop.querySelector("[data-first]").textContent = both() ? "The microphone" : "Recording";
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
      if (!kit.field("words").disabled && kit.field("words").checked) {
        data.append("timestamp_granularities[]", "word");
        data.append("timestamp_granularities[]", "segment");
      }
      if (!diarize.disabled && diarize.checked) data.append("diarize", "true");
    }
    data.append("progress", "true");
    data.append(both() ? "mic" : "file", file.files[0], file.files[0].name);
    if (both()) data.append("system", system.files[0], system.files[0].name);
    return data;
  };
  // Frames of SSE as they come: `event` and `data`. What is not whole yet waits for more.
  const frames = (heed) => {
    let read = 0;
    return (text) => {
      for (;;) {
        const rest = text.slice(read);
        const end = /\r?\n\r?\n/.exec(rest);
        if (!end) return;
        read += end.index + end[0].length;
        const lines = rest.slice(0, end.index).split(/\r?\n/);
        const of = (name) => lines.filter((one) => one.startsWith(name)).map((one) => one.slice(name.length).trim()).join("\n");
        heed(of("event:"), of("data:"));
      }
    };
  };
  const progressed = (told) => {
    const share = Number(told.fraction ?? told.percent / 100);
    if (!Number.isFinite(share)) return;
    bar.max = 1;
    bar.value = Math.min(1, Math.max(0, share));
    const eta = Number(told.eta_seconds);
    status.textContent = `Heard ${Math.round(bar.value * 100)} %${eta > 0 ? `, about ${kit.seconds(eta)} to go` : ""}.`;
  };
  const upload = (path, data, signal) =>
    new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open("POST", kit.address(path));
      const last = { name: "", data: "" };
      const read = frames((name, data) => {
        if (!data || data === "[DONE]") return;
        const told = name === "progress" ? JSON.parse(data) : null;
        if (told) progressed(told);
        else Object.assign(last, { name, data });
      });
      const kind = () => request.getResponseHeader("content-type") || "";
      const streams = () => request.status < 400 && kind().startsWith("text/event-stream");
      request.upload.addEventListener("progress", (event) => {
        bar.max = event.total;
        bar.value = event.loaded;
        status.textContent = `Sent ${kit.size(event.loaded)} of ${kit.size(event.total)}.`;
      });
      request.upload.addEventListener("load", () => {
        bar.removeAttribute("value");
        status.textContent = "Sent. The service is listening.";
      });
      request.addEventListener("progress", () => {
        if (streams()) read(request.responseText);
      });
      request.addEventListener("load", () => {
        const id = request.getResponseHeader("x-request-id");
        if (request.status >= 400) reject(kit.failureOf(request.status, request.responseText, id));
        else if (!streams()) resolve([request.responseText, kind()]);
        else {
          read(request.responseText);
          settle(last, id, resolve, reject);
        }
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
    if (both() && !system.files.length) {
      kit.show(new Failure("Choose the recording of the computer's sound as well."));
      return;
    }
    const size = file.files[0].size + (both() ? system.files[0].size : 0);
    if (size > most * (1 << 20)) {
      kit.show(new Failure(`This is ${kit.size(size)}; at most ${most} MiB are taken.`, "gateway.max_upload_mb says how much."));
      return;
    }
    kit.run(async (signal) => {
      heard.hide();
      progress.hidden = false;
      bar.value = 0;
      status.textContent = "Sending.";
      const began = performance.now();
      try {
        const [text, kind] = await upload(`/audio/${task.value}`, fields(), signal);
        const stem = file.files[0].name.replace(/\.[^.]*$/, "") || "recording";
        heard.draw(text, kind, value("response_format"), stem);
        status.textContent = `Heard in ${kit.seconds((performance.now() - began) / 1000)}.`;
      } catch (error) {
        status.textContent = error.name === "AbortError" ? "Cancelled." : "";
        throw error;
      } finally {
        progress.hidden = true;
      }
    });
  });
})();
