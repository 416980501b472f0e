// A recording chosen and sent: how far it is on its way, and how much of it was heard already.
(() => {
  "use strict";

  const kit = window.sparkTry;
  const drop = document.getElementById("drop");
  const heard = window.sparkHeard;
  if (!kit || !drop || !heard) return;
  const { form, Failure, value } = kit;

  const file = kit.field("file");
  const second = form.querySelector("template[data-second]").content.firstElementChild;
  const system = second.querySelector("input");
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
    if (both()) drop.after(second);
    else second.remove();
    kit.field("second").disabled = !both();
    drop.querySelector("[data-first]").textContent = both() ? "The microphone" : "Recording";
  };
  for (const option of task.options) {
    if (option.value === "diarize") option.disabled = !model.querySelector('optgroup[data-kind="diarize"]');
  }
  task.addEventListener("change", fit);
  kit.field("response_format").addEventListener("change", fit);
  fit();

  // ---- sending: only XMLHttpRequest tells how much of an upload is out

  // Events are asked for where there is something to wait for: an engine that streams by itself
  // tells no times.
  const lasts = () =>
    task.value !== "diarize" &&
    (both() || (!diarize.disabled && diarize.checked) || preview.duration > Number(drop.dataset.long));
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
    if (lasts()) {
      data.append("stream", "true");
      data.append("progress", "true");
    }
    data.append(both() ? "mic" : "file", file.files[0], file.files[0].name);
    if (both()) data.append("system", system.files[0], system.files[0].name);
    return data;
  };
  const progressed = (told) => {
    if (!Number.isFinite(told.percent)) return;
    bar.max = 100;
    bar.value = told.percent;
    const eta = Number(told.eta_seconds);
    const left = eta > 0 ? `, about ${kit.seconds(eta)} to go` : "";
    status.textContent = `Heard ${Math.round(told.percent)} %${left}.`;
  };
  const upload = (path, data, signal) =>
    new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open("POST", kit.address(path));
      const events = window.sparkEvents.listener(progressed);
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
        if (streams()) events.hear(request.responseText);
      });
      request.addEventListener("load", () => {
        const id = request.getResponseHeader("x-request-id");
        if (request.status >= 400) reject(kit.failureOf(request.status, request.responseText, id));
        else if (!streams()) resolve([request.responseText, kind()]);
        else {
          events.hear(request.responseText);
          try {
            resolve(events.answer(value("response_format"), id));
          } catch (error) {
            reject(error);
          }
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
