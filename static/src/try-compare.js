// Two texts as vectors, and how alike they are.
(() => {
  "use strict";

  const kit = window.sparkTry;
  const place = document.querySelector("#try-result [data-cosine]");
  if (!kit || !place) return;
  const { form, Failure, value } = kit;

  const result = document.getElementById("try-result");
  const status = document.getElementById("try-status");

  const vectorsOf = (body) => {
    const found = Array.isArray(body?.data) ? body.data.map((one) => one?.embedding) : [];
    const good = found.length === 2 && found.every((one) => Array.isArray(one) && one.length && one.every(Number.isFinite));
    if (!good || found[0].length !== found[1].length) {
      throw new Failure("What came back is not two vectors of one size.", "Whatever answers may be another kind of service: look at its log.");
    }
    return found;
  };
  const dot = (a, b) => a.reduce((sum, one, at) => sum + one * b[at], 0);

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    kit.run(async (signal) => {
      const texts = ["first", "second"].map((name) => value(name).replace(/\r\n/g, "\n"));
      if (texts.some((one) => !one.trim())) throw new Failure("Write two texts.");
      result.hidden = true;
      status.textContent = "Asking.";
      const began = performance.now();
      try {
        const body = { model: value("model"), input: texts, encoding_format: "float" };
        const answer = await kit.post("/embeddings", body, signal);
        const [a, b] = vectorsOf(await answer.json().catch(() => null));
        const took = (performance.now() - began) / 1000;
        const length = Math.sqrt(dot(a, a) * dot(b, b));
        const cosine = length ? Math.max(-1, Math.min(1, dot(a, b) / length)) : null;
        place.textContent = cosine === null ? "–" : cosine.toFixed(4);
        result.querySelector("[data-bar]").value = Math.max(0, cosine ?? 0);
        result.querySelector("[data-about]").textContent = `${a.length} numbers in each vector, ${kit.seconds(took)}.`;
        result.hidden = false;
        status.textContent = `Cosine similarity ${place.textContent}.`;
      } catch (error) {
        status.textContent = "";
        throw error;
      }
    });
  });
})();
