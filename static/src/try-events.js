// A transcript that comes as events (SSE): how far it is, and the answer that its pieces make.
(() => {
  "use strict";

  const kit = window.sparkTry;
  if (!kit) return;

  const parsed = (data) => {
    try {
      return JSON.parse(data);
    } catch {
      return null;
    }
  };
  // `heed` is told what is known of the progress.
  const listener = (heed) => {
    let read = 0;
    let done = null;
    let failed = null;
    let text = "";
    const segments = [];
    const frame = (lines) => {
      const data = lines.filter((one) => one.startsWith("data:")).map((one) => one.slice(5).trim());
      const told = data.length ? parsed(data.join("\n")) : null;
      if (!told || typeof told !== "object") return;
      if (told.error) failed = told.error;
      else if (told.type === "spark.progress") heed(told);
      else if (told.type === "transcript.text.delta") text += String(told.delta ?? "");
      else if (told.type === "transcript.text.segment") segments.push(told);
      else if (told.type === "transcript.text.done") done = told;
    };
    return {
      // All that has come so far; what is not whole yet waits for more.
      hear(all) {
        for (;;) {
          const rest = all.slice(read);
          const end = /\r?\n\r?\n/.exec(rest);
          if (!end) return;
          read += end.index + end[0].length;
          frame(rest.slice(0, end.index).split(/\r?\n/));
        }
      },
      // Text and media type, as an answer in one piece has them.
      answer(format, id) {
        if (failed) throw kit.told(failed, id);
        if (!done) throw new kit.Failure("The answer broke off before its end.", "Try again in a moment.", id || "");
        const whole = done.transcript;
        if (typeof whole === "string") return [whole, "text/plain"];
        if (whole) return [JSON.stringify(whole), "application/json"];
        const { type, ...rest } = done;
        if (format === "text") return [String(done.text ?? text), "text/plain"];
        return [JSON.stringify({ text, ...rest, ...(segments.length ? { segments } : {}) }), "application/json"];
      },
    };
  };

  window.sparkEvents = Object.freeze({ listener });
})();
