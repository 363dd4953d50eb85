// The two answers: how the browser gets its own, and how both are shown. Joined between
// drawing_pad_strokes.js and drawing_pad.js.

const PATIENCE = 900; // ms that Python may take before the pad says that it waits
const WAITS =
  "The browser waits for its runtime, which Python sends; if it does not come, run the " +
  "cells above, then this one.";
const ALONE = "▬ PyTorch in Python, when the pen lifts";
const BOTH = "▬ ONNX Runtime Web in this browser  │ PyTorch in Python";

export const argmax = (values) => values.indexOf(Math.max(...values));

export function softmax(logits) {
  const most = Math.max(...logits);
  const powers = logits.map((value) => Math.exp(value - most));
  const sum = powers.reduce((one, other) => one + other, 0);
  return powers.map((power) => power / sum);
}

const percent = (share) => `${Math.round(100 * share)} %`;

// What both say, and then what else is to be said.
export function inWords(python, browser, more = []) {
  const parts = [];
  const sure = (logits) =>
    `${argmax(logits)}, ${percent(Math.max(...softmax(logits)))} sure`;
  if (python && browser && sure(python) === sure(browser)) {
    parts.push(`Both say ${sure(python)}`);
  } else {
    if (python) parts.push(`PyTorch in Python says ${sure(python)}`);
    if (browser) parts.push(`ONNX Runtime Web in this browser says ${sure(browser)}`);
  }
  if (python && browser) {
    const gap = Math.max(...python.map((value, k) => Math.abs(value - browser[k])));
    parts.push(`their logits differ by at most ${gap.toExponential(1)}`);
  }
  const sentence = parts.length ? `${parts.join("; ")}.` : "";
  return [sentence, ...more].filter(Boolean).join(" ");
}

// Does `work` on the newest of what comes: one at a time, and only one waits.
export function newestOnly(work) {
  let waiting = [];
  let busy = false;
  return async (next) => {
    waiting = [next];
    if (busy) return;
    busy = true;
    while (waiting.length) await work(waiting.pop());
    busy = false;
  };
}

// ONNX Runtime Web, and the model in it.
async function openRuntime([library, wasm, file]) {
  const address = URL.createObjectURL(new Blob([library], { type: "text/javascript" }));
  try {
    const ort = await import(address);
    ort.env.wasm.numThreads = 1;
    ort.env.wasm.wasmBinary = wasm.buffer.slice(
      wasm.byteOffset,
      wasm.byteOffset + wasm.byteLength,
    );
    const bytes = new Uint8Array(file.buffer, file.byteOffset, file.byteLength);
    const session = await ort.InferenceSession.create(bytes, {
      executionProviders: ["wasm"],
    });
    return async (image) => {
      const input = new ort.Tensor("float32", Float32Array.from(image), [1, 1, SIDE, SIDE]);
      const { output } = await session.run({ input });
      return [...output.data];
    };
  } finally {
    URL.revokeObjectURL(address);
  }
}

// What answers in the browser. `run` is null before the runtime is here, and again once it
// has failed; `status` says which, and `changed` is called then. `live` is the newest
// answer; `answered` is called with it.
export function makeRuntime(changed, answered) {
  const runtime = { run: null, status: WAITS, live: {} };
  const fail = (what, error) => {
    runtime.run = null;
    runtime.status = `The browser could not ${what}. ${error.message}`;
  };
  const answer = newestOnly(async (image) => {
    if (!runtime.run) return;
    try {
      runtime.live = { image, logits: await runtime.run(image) };
      answered(runtime.live);
    } catch (error) {
      fail("run the file", error);
      changed();
    }
  });
  runtime.ask = (image) => {
    if (runtime.run) answer(image);
  };
  runtime.receive = async ({ missing }, buffers) => {
    if (runtime.run || missing === undefined) return;
    if (missing) runtime.status = `The browser does not answer: ${missing}.`;
    else {
      try {
        runtime.run = await openRuntime(buffers);
        runtime.status = "";
      } catch (error) {
        fail("start the runtime", error);
      }
    }
    changed();
  };
  return runtime;
}

// The way to Python. `late` is what to say once it does not answer; `changed` is called then.
export function makeLine(model, changed) {
  const line = { late: "" };
  let timer = 0;
  const giveUp = () => {
    line.late =
      "Python does not answer: unless it is busy, run the cells above, then this one.";
    changed();
  };
  // Where there is no kernel, these throw, or do nothing.
  const attempt = (action) => {
    try {
      action();
    } catch {
      giveUp();
    }
  };
  line.send = (message) => attempt(() => model.send(message));
  line.set = (name, value) => {
    model.set(name, value);
    attempt(() => model.save_changes());
  };
  line.expect = () => {
    line.end();
    line.late = "";
    timer = setTimeout(giveUp, PATIENCE);
  };
  line.end = () => clearTimeout(timer);
  return line;
}

export const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

// What is known of an image. While a stroke grows, the answer to its last frame will do;
// at its end the one that Python knows of, too.
export function answersTo(image, grows, model, { late }, { status, live }) {
  const to = (answer) => (same(answer.image, image) ? answer.logits : null);
  const python = to(model.get("python"));
  const browser = grows ? !status && live.logits : to(model.get("browser"));
  const isLate = !python && Boolean(late);
  // Where Python does not answer, one cure serves both.
  const reasons = isLate ? [status === WAITS ? "" : status, late] : [status];
  return { python, browser, isAlone: Boolean(status), isLate, reasons };
}

const heading = (textContent, scope) => element("th", { textContent, scope });

function makeBar(digit) {
  const bar = element("div", { className: "bar" });
  const tick = element("div", { className: "tick" });
  const track = element("td", {}, element("div", { className: "track" }, bar, tick));
  const share = element("td", { className: "share" });
  const row = element("tr", {}, heading(digit, "row"), track, share);
  track.setAttribute("aria-hidden", "true"); // the number beside it says the same
  const set = (long, mark, isWinner) => {
    row.className = isWinner ? "winner" : "";
    bar.style.width = long === null ? 0 : `${100 * long}%`;
    share.textContent = long === null ? "–" : percent(long);
    tick.hidden = mark === null;
    if (mark !== null) tick.style.left = `${100 * mark}%`;
  };
  return { row, set };
}

// A table, so that who cannot see the bars reads the numbers. The bars are the browser's
// answer, with Python's as ticks; where the browser has none, they are Python's.
export function makeBars() {
  const rows = Array.from({ length: 10 }, (_, digit) => makeBar(digit));
  const caption = element("caption", { textContent: "How sure?" });
  const body = element("tbody", {}, ...rows.map(({ row }) => row));
  const table = element("table", {}, caption, body);
  const key = element("p", { className: "key" });
  const node = element("div", { className: "bars" }, table, key);
  const set = (python, browser, isAlone) => {
    const isPythons = isAlone && !browser;
    const [long, marks] = isPythons ? [python, null] : [browser, python];
    const winner = long ? argmax(long) : null;
    const [shares, ticks] = [long, marks].map((logits) => (logits ? softmax(logits) : []));
    key.textContent = isPythons ? ALONE : BOTH;
    rows.forEach((row, digit) => {
      row.set(shares[digit] ?? null, ticks[digit] ?? null, digit === winner);
    });
  };
  return { node, set };
}

// The logits, for whoever asks; written only while they can be seen.
export function makeDetails(opened) {
  const names = ["digit", "PyTorch, Python", "ONNX, browser"];
  const top = element("tr", {}, ...names.map((name) => heading(name, "col")));
  const body = element("tbody");
  const table = element("table", {}, element("thead", {}, top), body);
  const summary = element("summary", { textContent: "The logits" });
  const details = element("details", {}, summary, table);
  details.addEventListener("toggle", opened);
  const cell = (logits, digit) => {
    const mark = logits && argmax(logits) === digit ? "▸ " : "";
    return element("td", { textContent: logits ? mark + logits[digit].toFixed(4) : "–" });
  };
  const set = (...answers) => {
    if (!details.open) return;
    const rows = Array.from({ length: 10 }, (_, digit) =>
      element(
        "tr",
        {},
        heading(digit, "row"),
        ...answers.map((logits) => cell(logits, digit)),
      ),
    );
    body.replaceChildren(...rows);
  };
  return { details, set };
}
