// The pages of models. What the check found wrong is shown at its field while one types, only at
// fields that were touched: a form that was just opened is not full of complaints. And the address
// follows the filter of the list, so that it can be kept or loaded anew.
(() => {
  "use strict";

  const touched = new Set();

  const fieldOf = (name) => document.querySelector(`#model-form [name="${CSS.escape(name)}"]`);

  const say = (input, text) => {
    const id = `${input.id}-error`;
    let line = document.getElementById(id);
    if (text && !line) {
      line = document.createElement("p");
      line.className = "wrong";
      line.id = id;
      input.closest(".field")?.append(line);
    }
    if (line && line.textContent !== text) line.textContent = text;
    const described = (input.getAttribute("aria-describedby") || "").split(" ").filter((one) => one && one !== id);
    if (text) {
      input.setAttribute("aria-invalid", "true");
      described.push(id);
    } else {
      line?.remove();
      input.removeAttribute("aria-invalid");
    }
    if (described.length) input.setAttribute("aria-describedby", described.join(" "));
    else input.removeAttribute("aria-describedby");
  };

  const place = () => {
    const faults = new Map();
    for (const one of document.querySelectorAll("#model-check [data-fault]")) {
      const text = one.querySelector("[data-fault-message]").textContent;
      const before = faults.get(one.dataset.fault);
      faults.set(one.dataset.fault, before ? `${before}; ${text}` : text);
    }
    for (const name of touched) {
      const input = fieldOf(name);
      if (input?.id) say(input, faults.get(name) || "");
    }
    // What the server complained of before: mended by now?
    for (const input of document.querySelectorAll('#model-form [aria-invalid="true"]')) {
      if (!faults.has(input.name)) say(input, "");
    }
  };

  const follow = () => {
    const given = [...new FormData(document.getElementById("model-filter"))].filter(([, value]) => value);
    const asked = new URLSearchParams(given).toString();
    const address = asked ? `/models?${asked}` : "/models";
    if (address !== location.pathname + location.search) history.replaceState(null, "", address);
  };

  for (const kind of ["input", "change"]) {
    document.addEventListener(kind, (event) => {
      if (event.target.closest?.("#model-form")) touched.add(event.target.name);
    });
  }
  document.addEventListener("htmx:after:swap", (event) => {
    const target = event.detail?.ctx?.target;
    if (target?.id === "model-check") place();
    if (target?.id === "catalog") follow();
  });
})();
