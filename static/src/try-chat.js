// Chat: the answer as it comes, what it cost in time and tokens, and the conversation, which is kept
// in this page alone. An answer is never taken for HTML: it is text, and fenced code stands in <pre>.
(() => {
  "use strict";

  const kit = window.sparkTry;
  if (!kit) return;
  const { form, Failure, element, value, number, seconds } = kit;

  const log = document.getElementById("conversation");
  const figures = document.getElementById("try-figures");
  const status = document.getElementById("try-status");
  const hint = document.getElementById("try-hint");
  const message = kit.field("message");
  const again = form.querySelector("[data-again]");
  let turns = JSON.parse(kit.field("history").value || "[]");

  // ---- drawing

  const nearEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 80;
  const toEnd = () => {
    log.scrollTop = log.scrollHeight;
  };
  // Between fences is code; the pieces that did not change are left alone.
  const write = (place, text) => {
    const pieces = text.split(/^ {0,3}```[^\n]*$/m);
    pieces.forEach((piece, at) => {
      const words = at % 2 ? piece.replace(/^\n|\n$/g, "") : piece.replace(/^\n+|\n+$/g, "");
      let node = place.children[at];
      if (!node) {
        node = at % 2 ? element("pre") : element("div", "", "prose");
        if (at % 2) {
          node.tabIndex = 0;
          node.setAttribute("role", "group");
          node.setAttribute("aria-label", "Code");
        }
        place.append(node);
      }
      if (node.textContent !== words) node.textContent = words;
    });
    while (place.children.length > pieces.length) place.lastElementChild.remove();
  };
  const turn = (role, text) => {
    log.querySelector("[data-nothing]")?.remove();
    const made = element("div", "", `turn ${role}`);
    made.append(element("p", role === "user" ? "You" : "Model", "who"));
    const thoughts = element("details", "", "thoughts");
    thoughts.hidden = true;
    const thought = element("div", "", "prose");
    thoughts.append(element("summary", "Thinking"), thought);
    const said = element("div", "", "said");
    if (role === "assistant") made.append(thoughts);
    made.append(said);
    log.append(made);
    write(said, text);
    toEnd();
    return { made, said, thoughts, thought };
  };
  const finish = (shown, text, words) => {
    const cost = element("p", words, "muted small cost");
    const copy = element("button", "Copy", "quiet");
    copy.type = "button";
    copy.setAttribute("aria-label", "Copy this answer");
    copy.addEventListener("click", async () => {
      await kit.toClipboard(text);
      copy.textContent = "Copied";
      setTimeout(() => (copy.textContent = "Copy"), 2000);
    });
    if (text) cost.append(copy);
    shown.made.append(cost);
  };

  const remember = () => {
    kit.field("history").value = JSON.stringify(turns);
    again.hidden = !turns.some((one) => one.role === "user");
    kit.changed();
  };

  // ---- the request, as the code beside the form has it

  // A question that was never answered is not asked again together with the next one.
  const answered = (one, at) => one.role !== "user" || turns[at + 1]?.role !== "user";
  const asked = () => {
    const system = value("system");
    const body = { model: value("model"), messages: turns.filter(answered).map(({ role, content }) => ({ role, content })) };
    if (system.trim()) body.messages.unshift({ role: "system", content: system });
    for (const [name, good, words] of [
      ["temperature", (n) => n >= 0 && n <= 2, "The temperature is a number from 0 to 2."],
      ["max_tokens", (n) => Number.isInteger(n) && n >= 1, "The most tokens are a whole number, 1 or more."],
    ]) {
      if (!value(name).trim()) continue;
      if (!good(number(name))) throw new Failure(words, "Or leave the field empty.");
      body[name] = number(name);
    }
    return { ...body, stream: true, stream_options: { include_usage: true } };
  };

  // Frames of SSE: comments tell where one stands in the queue, data is the answer.
  const frames = async (answer, heard) => {
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value: piece } = await reader.read();
      rest += (piece || "").replace(/\r\n?/g, "\n");
      const whole = rest.split("\n\n");
      rest = whole.pop();
      for (const frame of whole) {
        for (const line of frame.split("\n")) {
          if (line.startsWith(":")) heard.comment(line);
          else if (line.startsWith("data:")) heard.data(line.slice(5).trim());
        }
      }
      if (done) return;
    }
  };

  const queued = (line) => {
    const found = /queued position=(\d+)(?: eta=(\d+))?/.exec(line);
    if (!found) return "";
    return `Number ${found[1]} in the queue${found[2] ? `, about ${found[2]} s` : ""}.`;
  };

  const ask = (signal) => {
    const body = asked();
    const shown = turn("assistant", "");
    const seen = { text: "", thoughts: "", tokens: 0, usage: null, finish: "", began: performance.now(), first: 0, done: false };
    let drawn = 0;
    let waiting = "";
    const draw = () => {
      drawn = 0;
      const stay = nearEnd();
      write(shown.said, seen.text);
      if (seen.thoughts) {
        shown.thoughts.hidden = false;
        if (shown.thought.textContent !== seen.thoughts) shown.thought.textContent = seen.thoughts;
      }
      if (stay) toEnd();
    };
    const tell = () => {
      const took = (performance.now() - seen.began) / 1000;
      figures.textContent = seen.first ? words(seen) : `${waiting || "Waiting for the first token."} ${seconds(took)} so far.`;
    };
    const clock = setInterval(tell, 200);
    const heard = {
      comment: (line) => {
        const where = queued(line);
        if (where && where !== waiting) status.textContent = waiting = where;
      },
      data: (text) => {
        if (text === "[DONE]") {
          seen.done = true;
          return;
        }
        let chunk;
        try {
          chunk = JSON.parse(text);
        } catch {
          throw new Failure("A part of the answer cannot be read.");
        }
        if (chunk.error) throw kit.told(chunk.error, requestId);
        seen.usage = chunk.usage || seen.usage;
        const choice = chunk.choices?.[0];
        if (!choice) return;
        seen.finish = choice.finish_reason || seen.finish;
        const said = choice.delta?.content;
        const thought = choice.delta?.reasoning_content ?? choice.delta?.reasoning;
        if (!said && !thought) return;
        const at = performance.now();
        seen.first = seen.first || at;
        seen.last = at;
        seen.tokens += 1;
        if (typeof said === "string") seen.text += said;
        if (typeof thought === "string") seen.thoughts += thought;
        drawn = drawn || setTimeout(draw, 40);
      },
    };
    let requestId = "";
    status.textContent = "Asking.";
    again.disabled = true;
    hint.hidden = true;
    shown.made.setAttribute("aria-busy", "true");
    return kit
      .post("/chat/completions", body, signal)
      .then((answer) => {
        requestId = answer.headers.get("x-request-id");
        return frames(answer, heard);
      })
      .then(
        () => {
          if (!seen.done && !seen.finish) throw new Failure("The answer broke off before its end.", "", requestId);
        },
      )
      .catch((error) => {
        if (error.name === "AbortError" || signal.aborted) {
          seen.finish = "stopped";
          return;
        }
        seen.finish = "failed";
        throw error instanceof Failure ? error : kit.unreachable();
      })
      .finally(() => {
        clearInterval(clock);
        clearTimeout(drawn);
        draw();
        shown.made.removeAttribute("aria-busy");
        const ended = { stopped: "Stopped.", failed: "Broken off.", length: "Cut off at the most tokens it may write." }[seen.finish] || "";
        figures.textContent = "";
        again.disabled = false;
        advise();
        const nothing = !seen.text && !seen.thoughts;
        if (nothing && (seen.finish === "failed" || seen.finish === "stopped")) takeBack(shown);
        else finish(shown, seen.text, [words(seen), ended].filter(Boolean).join(" "));
        status.textContent = seen.finish === "failed" ? "" : ended || `The answer is complete: ${words(seen)}`;
        if (seen.text) turns.push({ role: "assistant", content: seen.text });
        remember();
        toEnd();
      });
  };

  // Nothing came: the question is where it was typed, to be sent again or changed.
  const takeBack = (shown) => {
    shown.made.remove();
    if (message.value) return;
    message.value = turns.pop().content;
    log.lastElementChild.remove();
  };

  const words = (seen) => {
    if (!seen.first) return "No token came.";
    const told = seen.usage?.completion_tokens;
    const tokens = Number.isInteger(told) ? told : seen.tokens;
    const took = (seen.last - seen.first) / 1000;
    const found = [`First token after ${seconds((seen.first - seen.began) / 1000)}`, `${tokens} tokens`];
    if (took > 0.02 && tokens > 1) found.push(`${((tokens - 1) / took).toFixed(1)} tokens/s`);
    if (Number.isInteger(seen.usage?.prompt_tokens)) found.push(`${seen.usage.prompt_tokens} prompt tokens`);
    return `${found.join(", ")}.`;
  };

  // ---- acts

  const send = () => {
    const text = message.value;
    if (kit.busy()) return;
    if (!text.trim()) {
      message.focus();
      return;
    }
    kit.run((signal) => {
      asked(); // what is wrong with the form is told before anything of it is gone
      turns.push({ role: "user", content: text });
      turn("user", text);
      message.value = "";
      remember();
      return ask(signal);
    });
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (event.submitter?.name === "clear") begin();
    else send();
  });
  message.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      send();
    }
  });
  again.addEventListener("click", () => {
    if (kit.busy()) return;
    kit.run((signal) => {
      while (turns.at(-1).role === "assistant") turns.pop();
      while (log.lastElementChild?.classList.contains("assistant")) log.lastElementChild.remove();
      return ask(signal);
    });
  });
  const begin = () => {
    kit.halt();
    turns = [];
    log.replaceChildren(element("p", "A new conversation.", "muted"));
    log.firstElementChild.dataset.nothing = "";
    figures.textContent = status.textContent = "";
    kit.clear();
    remember();
    message.focus();
  };

  // ---- what asking costs

  const POLICIES = {
    auto: "This model is not loaded. Sending starts a swap, which may unload what is loaded now; your message waits for it.",
    ask: "This model is not loaded. A person has to swap it in; your message waits for that.",
    never: "This model is not loaded, and a request may not load it: swap it in first.",
  };
  const advise = () => {
    const option = kit.field("model").selectedOptions[0];
    const loaded = [...document.querySelectorAll("#try-now [data-served]")].map((one) => one.dataset.served);
    const model = option?.dataset.model;
    const words = model && !again.disabled && !loaded.includes(model) ? POLICIES[option.dataset.policy] || "" : "";
    hint.hidden = !words;
    if (hint.textContent !== words) hint.textContent = words;
  };
  kit.field("model").addEventListener("change", advise);
  document.addEventListener("htmx:after:swap", advise);
  advise();
  again.hidden = !turns.length;
})();
