// The browser's half of the drawing pad. Python's half is drawing_pad.py, which hands
// over ONNX Runtime Web as bytes: nothing comes from a network. anywidget loads this file
// as it is; what is exported beside the default serves the tests.

const SIDE = 8;
const FINE = 32; // the digits data were drawn in 32 x 32 and counted in blocks of 4 x 4
const WIDE = 24; // the outer columns of the data are nearly empty
const PEN = 2.5; // radius, in fine dots: as much ink as the data have on average

function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

// From strokes to numbers.

// Move the strokes to the middle and scale them to what the digits data fill.
export function centred(strokes) {
  const all = strokes.flat();
  const low = [0, 1].map((axis) => Math.min(...all.map((point) => point[axis])));
  const high = [0, 1].map((axis) => Math.max(...all.map((point) => point[axis])));
  const scale = Math.min(
    (WIDE - 2 * PEN) / Math.max(high[0] - low[0], 0.1),
    (FINE - 2 * PEN) / Math.max(high[1] - low[1], 0.25),
  );
  const place = (value, axis) => FINE / 2 + (value - (low[axis] + high[axis]) / 2) * scale;
  return strokes.map((stroke) => stroke.map((point) => point.map(place)));
}

// The points that the pen passes on its way, at most one fine dot apart.
export function along(stroke) {
  return stroke.flatMap((point, k) => {
    const from = stroke[Math.max(k - 1, 0)];
    const steps = Math.ceil(Math.hypot(point[0] - from[0], point[1] - from[1])) || 1;
    return Array.from({ length: steps + 1 }, (_, step) =>
      point.map((value, axis) => from[axis] + (step / steps) * (value - from[axis])),
    );
  });
}

function press(dots, [x, y]) {
  for (let row = 0; row < FINE; row++) {
    for (let column = 0; column < FINE; column++) {
      const far = Math.hypot(column + 0.5 - x, row + 0.5 - y);
      if (far <= PEN) dots[row * FINE + column] = 1;
    }
  }
}

// Each block's share of ink.
export function shares(dots) {
  const block = FINE / SIDE;
  const image = new Array(SIDE * SIDE).fill(0);
  dots.forEach((dot, k) => {
    const row = Math.floor(k / FINE / block);
    const column = Math.floor((k % FINE) / block);
    image[row * SIDE + column] += dot / block ** 2;
  });
  return image;
}

// Strokes, lists of [x, y] in 0..1, to 64 numbers in 0..1, row by row.
export function reduce(strokes) {
  const dots = new Uint8Array(FINE * FINE);
  for (const stroke of centred(strokes)) {
    for (const point of along(stroke)) press(dots, point);
  }
  return shares(dots);
}

// From logits to words.

const argmax = (values) => values.indexOf(Math.max(...values));

// The largest share of the softmax.
export function certainty(logits) {
  const most = Math.max(...logits);
  return 1 / logits.reduce((sum, value) => sum + Math.exp(value - most), 0);
}

// Both answers in words; `status` says why the browser has none.
export function inWords(python, browser, status) {
  const say = (logits) =>
    `${argmax(logits)}, ${Math.round(100 * certainty(logits))} % sure`;
  const parts = [
    python ? `PyTorch in Python: ${say(python)}.` : "Python has yet to answer.",
    browser ? `ONNX Runtime Web in this browser: ${say(browser)}.` : status,
  ];
  if (python && browser) {
    const gap = Math.max(...python.map((value, k) => Math.abs(value - browser[k])));
    parts.push(`Largest difference of the logits: ${gap.toExponential(1)}.`);
  }
  return parts.join(" ");
}

const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

// The parts of the page.

function paint(canvas, strokes) {
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  Object.assign(context, { lineWidth: 16, lineCap: "round", lineJoin: "round" });
  context.strokeStyle = getComputedStyle(canvas).color;
  context.beginPath(); // one path: a theme's colour may let what is below shine through
  for (const stroke of strokes) {
    stroke.forEach(([x, y], k) => {
      context[k ? "lineTo" : "moveTo"](x * canvas.width, y * canvas.height);
    });
  }
  context.stroke();
}

// `drawn` is called with all strokes when the pen leaves the canvas.
function makeCanvas(drawn) {
  const canvas = element("canvas", { width: 224, height: 224 });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "Draw here with the mouse, a pen or a finger");
  let strokes = [];
  let pen = null; // the pointer that draws
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };
  canvas.addEventListener("pointerdown", (event) => {
    // Neither a second finger nor the right button draws.
    if (!event.isPrimary || event.button) return;
    canvas.setPointerCapture(event.pointerId);
    pen = event.pointerId;
    strokes.push([at(event)]);
    event.preventDefault();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerId !== pen) return;
    strokes.at(-1).push(at(event));
    paint(canvas, strokes);
  });
  const lift = (event) => {
    if (event.pointerId !== pen) return;
    pen = null;
    drawn(strokes);
  };
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);
  const clear = () => {
    [strokes, pen] = [[], null];
    paint(canvas, strokes);
  };
  return { canvas, clear };
}

// The cell that an arrow key leads to from cell k: the same at an edge, and none for
// another key.
export function neighbour(k, key) {
  const [row, column] = [Math.floor(k / SIDE), k % SIDE];
  return {
    ArrowUp: row > 0 ? k - SIDE : k,
    ArrowDown: row < SIDE - 1 ? k + SIDE : k,
    ArrowLeft: column > 0 ? k - 1 : k,
    ArrowRight: column < SIDE - 1 ? k + 1 : k,
  }[key];
}

function walkWithArrows(grid, cells) {
  grid.addEventListener("keydown", (event) => {
    const from = cells.indexOf(event.target);
    const to = neighbour(from, event.key);
    if (to === undefined) return;
    event.preventDefault();
    cells[from].tabIndex = -1;
    cells[to].tabIndex = 0;
    cells[to].focus();
  });
}

// `chosen` is called with the number of the cell that is clicked.
function makeGrid(chosen) {
  const cells = Array.from({ length: SIDE * SIDE }, (_, k) => {
    const cell = element("button", { type: "button", tabIndex: k ? -1 : 0 });
    cell.setAttribute("role", "gridcell");
    cell.addEventListener("click", () => chosen(k));
    return cell;
  });
  const grid = element("div", { className: "grid" });
  grid.setAttribute("role", "grid");
  grid.setAttribute(
    "aria-label",
    "What the model sees: arrow keys move, the space bar sets or clears ink",
  );
  for (let k = 0; k < cells.length; k += SIDE) {
    const line = element("div", { className: "row" }, ...cells.slice(k, k + SIDE));
    line.setAttribute("role", "row");
    grid.append(line);
  }
  walkWithArrows(grid, cells);
  const setImage = (image) => {
    cells.forEach((cell, k) => {
      const where = `row ${Math.floor(k / SIDE) + 1}, column ${(k % SIDE) + 1}`;
      const percent = Math.round(100 * image[k]);
      cell.style.setProperty("--ink", image[k]);
      cell.setAttribute("aria-label", `${where}: ink ${percent} %`);
    });
  };
  return { grid, setImage };
}

function makeTable() {
  const heading = (textContent) => element("th", { textContent, scope: "col" });
  const headings = ["digit", "PyTorch, Python", "ONNX, browser"].map(heading);
  const body = element("tbody");
  const table = element(
    "table",
    {},
    element("caption", { textContent: "Logits" }),
    element("thead", {}, element("tr", {}, ...headings)),
    body,
  );
  const cell = (logits, digit) => {
    const mark = logits && argmax(logits) === digit ? "▸ " : "";
    const textContent = logits ? mark + logits[digit].toFixed(4) : "–";
    return element("td", { textContent });
  };
  const setLogits = (...answers) => {
    const rows = Array.from({ length: 10 }, (_, digit) => {
      const name = element("th", { textContent: digit, scope: "row" });
      return element("tr", {}, name, ...answers.map((logits) => cell(logits, digit)));
    });
    body.replaceChildren(...rows);
  };
  return { table, setLogits };
}

function makePad(canvas, clear, grid, table, words) {
  const button = element("button", { type: "button", textContent: "Clear" });
  button.addEventListener("click", clear);
  const part = (textContent, ...nodes) =>
    element("div", { className: "part" }, element("p", { textContent }), ...nodes);
  const parts = element(
    "div",
    { className: "parts" },
    part("Draw a digit", canvas, button),
    part("What the model sees (arrow keys, space)", grid),
    table,
  );
  const pad = element("section", { className: "sls-pad" }, parts, words);
  pad.setAttribute("aria-label", "Drawing pad");
  pad.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey) event.stopPropagation(); // JupyterLab's shortcuts
  });
  return pad;
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

// What answers in the browser: `answer` is null before the runtime is here, and again once
// it has failed; `status` says which. `changed` is called when they have changed.
function makeRuntime(model, changed) {
  const runtime = { answer: null, status: "The runtime is on its way to the browser." };
  runtime.reply = async () => {
    if (!runtime.answer) return;
    const image = model.get("image");
    let logits;
    try {
      logits = await runtime.answer(image);
    } catch (error) {
      runtime.answer = null;
      runtime.status = `The browser could not run the file. ${error.message}`;
      changed();
      return;
    }
    if (!same(image, model.get("image"))) return; // a newer one is being answered
    model.set("browser", { image, logits });
    model.save_changes();
  };
  runtime.receive = async ({ missing }, buffers) => {
    if (runtime.answer || missing === undefined) return;
    if (missing) runtime.status = `The browser does not answer: ${missing}.`;
    else {
      try {
        runtime.answer = await openRuntime(buffers);
      } catch (error) {
        runtime.status = `The browser could not start the runtime. ${error.message}`;
      }
    }
    changed();
    runtime.reply();
  };
  return runtime;
}

function render({ model, el }) {
  const runtime = makeRuntime(model, show);
  const send = (image) => {
    model.set("image", image);
    model.save_changes();
    runtime.reply();
  };
  const { canvas, clear } = makeCanvas((strokes) => send(reduce(strokes)));
  const { grid, setImage } = makeGrid((k) => {
    clear(); // from here on the grid is the drawing
    send(model.get("image").map((ink, j) => (j === k ? Number(ink < 0.5) : ink)));
  });
  const { table, setLogits } = makeTable();
  const words = element("p", { className: "words" });
  words.setAttribute("aria-live", "polite");
  const clearAll = () => {
    clear();
    send(new Array(SIDE * SIDE).fill(0));
  };
  const pad = makePad(canvas, clearAll, grid, table, words);

  function show() {
    const image = model.get("image");
    const [python, browser] = ["python", "browser"].map((name) => {
      const found = model.get(name);
      return same(found.image, image) ? found.logits : null;
    });
    setImage(image);
    setLogits(python, browser);
    words.textContent = inWords(python, browser, runtime.status);
    pad.toggleAttribute("data-done", Boolean(python && (browser || !runtime.answer)));
  }
  const changes = "change:image change:python change:browser";
  model.on(changes, show);
  model.on("msg:custom", runtime.receive);
  show();
  model.send({ wanted: "runtime" });
  el.append(pad);
  return () => {
    model.off(changes, show);
    model.off("msg:custom", runtime.receive);
  };
}

export default { render };
