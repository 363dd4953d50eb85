// The browser's half of the drawing pad. Python's half is drawing_pad.py, which hands
// over ONNX Runtime Web as bytes: nothing comes from a network.

const SIDE = 8;
const FINE = 32; // the digits data were drawn in 32 x 32 and counted in blocks of 4 x 4
const WIDE = 24; // the outer columns of the data are nearly empty
const PEN = 2.5; // radius, in fine dots: as much ink as the data have on average

function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

// Strokes, lists of [x, y] in 0..1, to 64 numbers: the drawing is moved to the middle and
// scaled to what the digits data fill; each number is a block's share of ink.
function reduce(strokes) {
  const all = strokes.flat();
  const low = [0, 1].map((axis) => Math.min(...all.map((point) => point[axis])));
  const high = [0, 1].map((axis) => Math.max(...all.map((point) => point[axis])));
  const scale = Math.min(
    (WIDE - 2 * PEN) / Math.max(high[0] - low[0], 0.1),
    (FINE - 2 * PEN) / Math.max(high[1] - low[1], 0.25));
  const place = (point) => point.map((value, axis) =>
    FINE / 2 + (value - (low[axis] + high[axis]) / 2) * scale);
  const dots = new Uint8Array(FINE * FINE);
  const press = ([x, y]) => {
    for (let row = 0; row < FINE; row++) {
      for (let column = 0; column < FINE; column++) {
        const far = Math.hypot(column + 0.5 - x, row + 0.5 - y);
        if (far <= PEN) dots[row * FINE + column] = 1;
      }
    }
  };
  for (const stroke of strokes) {
    const points = stroke.map(place);
    points.forEach((point, k) => {
      const from = points[Math.max(k - 1, 0)];
      const steps = Math.ceil(Math.hypot(point[0] - from[0], point[1] - from[1])) || 1;
      for (let step = 0; step <= steps; step++) {
        const share = step / steps;
        press(point.map((value, axis) => from[axis] + share * (value - from[axis])));
      }
    });
  }
  const block = FINE / SIDE;
  const image = new Array(SIDE * SIDE).fill(0);
  dots.forEach((dot, k) => {
    const row = Math.floor(k / FINE / block), column = Math.floor((k % FINE) / block);
    image[row * SIDE + column] += dot / block ** 2;
  });
  return image;
}

const argmax = (values) => values.indexOf(Math.max(...values));

function certainty(logits) {
  const most = Math.max(...logits);
  return 1 / logits.reduce((sum, value) => sum + Math.exp(value - most), 0);
}

const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

async function openRuntime([library, wasm, file]) {
  const address = URL.createObjectURL(new Blob([library], { type: "text/javascript" }));
  try {
    const ort = await import(address);
    ort.env.wasm.numThreads = 1;
    ort.env.wasm.wasmBinary = wasm.buffer.slice(wasm.byteOffset, wasm.byteOffset + wasm.byteLength);
    const bytes = new Uint8Array(file.buffer, file.byteOffset, file.byteLength);
    const session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
    return async (image) => {
      const input = new ort.Tensor("float32", Float32Array.from(image), [1, 1, SIDE, SIDE]);
      const { output } = await session.run({ input });
      return [...output.data];
    };
  } finally {
    URL.revokeObjectURL(address);
  }
}

function render({ model, el }) {
  const canvas = element("canvas", { width: 224, height: 224 });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "Draw here with the mouse, a pen or a finger");
  const clear = element("button", { type: "button", textContent: "Clear" });
  const cells = Array.from({ length: SIDE * SIDE }, (_, k) =>
    element("button", { type: "button", tabIndex: k ? -1 : 0 }));
  const grid = element("div", { className: "grid" });
  grid.setAttribute("role", "grid");
  grid.setAttribute("aria-label",
    "What the model sees: arrow keys move, the space bar sets or clears ink");
  for (let row = 0; row < SIDE; row++) {
    const line = element("div", { className: "row" }, ...cells.slice(row * SIDE, (row + 1) * SIDE));
    line.setAttribute("role", "row");
    grid.append(line);
  }
  cells.forEach((cell) => cell.setAttribute("role", "gridcell"));
  const words = element("p", { className: "words" });
  words.setAttribute("aria-live", "polite");
  const body = element("tbody");
  const heading = (text) => element("th", { textContent: text, scope: "col" });
  const table = element("table", {},
    element("caption", { textContent: "Logits" }),
    element("thead", {}, element("tr", {}, heading("digit"), heading("PyTorch, Python"),
      heading("ONNX, browser"))),
    body);
  const part = (title, ...nodes) =>
    element("div", { className: "part" }, element("p", { textContent: title }), ...nodes);
  const pad = element("section", { className: "sls-pad" },
    element("div", { className: "parts" },
      part("Draw a digit", canvas, clear),
      part("What the model sees (arrow keys, space)", grid),
      table),
    words);
  pad.setAttribute("aria-label", "Drawing pad");
  pad.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey) event.stopPropagation(); // JupyterLab's shortcuts
  });

  let strokes = [], drawing = false, state = "The runtime is on its way to the browser.";
  let answer = null;

  function setImage(image) {
    model.set("image", image);
    model.save_changes();
    answerHere();
  }

  async function answerHere() {
    if (!answer) return;
    const image = model.get("image");
    let logits;
    try {
      logits = await answer(image);
    } catch (error) {
      answer = null;
      state = `The browser could not run the file. ${error.message}`;
      show();
      return;
    }
    if (!same(image, model.get("image"))) return; // a newer one is being answered
    model.set("browser", { image, logits });
    model.save_changes();
  }

  function show() {
    const image = model.get("image");
    cells.forEach((cell, k) => {
      const ink = Math.round(100 * image[k]);
      cell.style.setProperty("--ink", image[k]);
      const where = `row ${Math.floor(k / SIDE) + 1}, column ${(k % SIDE) + 1}`;
      cell.setAttribute("aria-label", `${where}: ink ${ink} %`);
    });
    const [python, browser] = ["python", "browser"].map((name) => {
      const found = model.get(name);
      return same(found.image, image) ? found.logits : null;
    });
    body.replaceChildren(...Array.from({ length: 10 }, (_, digit) => {
      const row = element("tr", {}, element("th", { textContent: digit, scope: "row" }));
      for (const logits of [python, browser]) {
        const best = logits && argmax(logits) === digit;
        row.append(element("td", {
          textContent: logits ? `${best ? "▸ " : ""}${logits[digit].toFixed(4)}` : "–",
        }));
      }
      return row;
    }));
    const say = (logits) => `${argmax(logits)}, ${Math.round(100 * certainty(logits))} % sure`;
    const parts = [python ? `PyTorch in Python: ${say(python)}.` : "Python has yet to answer."];
    if (browser) {
      parts.push(`ONNX Runtime Web in this browser: ${say(browser)}.`);
      if (python) {
        const gap = Math.max(...python.map((value, k) => Math.abs(value - browser[k])));
        parts.push(`Largest difference of the logits: ${gap.toExponential(1)}.`);
      }
    } else parts.push(state);
    words.textContent = parts.join(" ");
    pad.toggleAttribute("data-done", Boolean(python && (browser || !answer)));
  }

  const ink = canvas.getContext("2d");
  function paint() {
    ink.clearRect(0, 0, canvas.width, canvas.height);
    Object.assign(ink, { lineWidth: 16, lineCap: "round", lineJoin: "round" });
    ink.strokeStyle = getComputedStyle(canvas).color;
    ink.beginPath(); // one path: a theme's colour may let what is below shine through
    for (const stroke of strokes) {
      stroke.forEach(([x, y], k) =>
        ink[k ? "lineTo" : "moveTo"](x * canvas.width, y * canvas.height));
    }
    ink.stroke();
  }
  function clearCanvas() {
    strokes = [];
    paint();
  }
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    drawing = true;
    strokes.push([at(event)]);
    event.preventDefault();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drawing) return;
    strokes[strokes.length - 1].push(at(event));
    paint();
  });
  const lift = () => {
    if (!drawing) return;
    drawing = false;
    setImage(reduce(strokes));
  };
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);
  clear.addEventListener("click", () => {
    clearCanvas();
    setImage(new Array(SIDE * SIDE).fill(0));
  });
  cells.forEach((cell, k) => cell.addEventListener("click", () => {
    clearCanvas(); // from here on the grid is the drawing
    const image = [...model.get("image")];
    image[k] = image[k] < 0.5 ? 1 : 0;
    setImage(image);
  }));
  grid.addEventListener("keydown", (event) => {
    const k = cells.indexOf(event.target);
    const row = Math.floor(k / SIDE), column = k % SIDE;
    const to = {
      ArrowUp: row > 0 && k - SIDE,
      ArrowDown: row < SIDE - 1 && k + SIDE,
      ArrowLeft: column > 0 && k - 1,
      ArrowRight: column < SIDE - 1 && k + 1,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    if (to === false) return;
    cells[k].tabIndex = -1;
    cells[to].tabIndex = 0;
    cells[to].focus();
  });

  const receive = async (message, buffers) => {
    if (answer || message.missing === undefined) return;
    if (message.missing) state = `The browser does not answer: ${message.missing}.`;
    else {
      try {
        answer = await openRuntime(buffers);
      } catch (error) {
        state = `The browser could not start the runtime. ${error.message}`;
      }
    }
    show();
    answerHere();
  };
  const changes = "change:image change:python change:browser";
  model.on(changes, show);
  model.on("msg:custom", receive);
  show();
  model.send({ wanted: "runtime" });
  el.append(pad);
  return () => {
    model.off(changes, show);
    model.off("msg:custom", receive);
  };
}

export default { render };
