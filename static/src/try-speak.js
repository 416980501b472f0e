// A text said aloud: fetched whole, played, and kept as a file.
(() => {
  "use strict";

  const kit = window.sparkTry;
  const sound = document.querySelector("#try-result [data-sound]");
  if (!kit || !sound) return;
  const { form, Failure, value, number } = kit;

  const status = document.getElementById("try-status");
  const result = document.getElementById("try-result");
  const link = result.querySelector("[data-download]");
  const text = kit.field("text");
  const SUFFIXES = { "audio/mpeg": "mp3", "audio/mp3": "mp3", "audio/wav": "wav", "audio/x-wav": "wav", "audio/ogg": "ogg", "audio/opus": "opus", "audio/flac": "flac", "audio/aac": "aac" };

  const count = () => {
    const help = document.getElementById("f-text-help");
    if (help) help.textContent = `${text.value.length} of at most ${text.maxLength} letters`;
  };
  text.addEventListener("input", count);
  // The list of voices comes after the page, and with it the voice that is asked for.
  document.addEventListener("htmx:after:swap", (event) => {
    if (event.detail?.ctx?.sourceElement?.id === "try-voices") kit.changed();
  });
  count();

  const asked = () => {
    const body = { model: value("model"), input: text.value.replace(/\r\n/g, "\n"), voice: value("voice"), response_format: value("response_format") };
    if (!text.value.trim()) throw new Failure("Write what is to be said.");
    if (!body.voice) throw new Failure("Choose a voice.");
    if (value("speed").trim() && number("speed") !== 1) {
      if (!(number("speed") >= 0.25 && number("speed") <= 4)) throw new Failure("The speed is a number from 0.25 to 4.");
      body.speed = number("speed");
    }
    return body;
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    kit.run(async (signal) => {
      const body = asked();
      sound.pause();
      result.hidden = true;
      status.textContent = "Waiting for the sound.";
      const began = performance.now();
      try {
        const answer = await kit.post("/audio/speech", body, signal);
        const head = (performance.now() - began) / 1000;
        const blob = await answer.blob().catch((error) => {
          throw error.name === "AbortError" ? error : new Failure("The sound broke off before its end.", "", answer.headers.get("x-request-id"));
        });
        const kind = blob.type.split(";")[0];
        if (!/^(audio|video)\/|^application\/octet-stream$|^$/.test(kind)) {
          throw new Failure("What came back is not sound.", "Whatever answers may be another kind of service: look at its log.", answer.headers.get("x-request-id"));
        }
        sound.src = link.href = kit.keep(blob);
        link.download = `speech.${SUFFIXES[kind] || body.response_format}`;
        link.querySelector("span").textContent = `Download ${link.download}, ${kit.size(blob.size)}`;
        result.hidden = false;
        status.textContent = `Began after ${kit.seconds(head)}, complete after ${kit.seconds((performance.now() - began) / 1000)}.`;
        sound.play().catch(() => {}); // not allowed, or not a sound it can play: the controls are there
      } catch (error) {
        status.textContent = error.name === "AbortError" ? "Cancelled." : "";
        throw error;
      }
    });
  });
})();
