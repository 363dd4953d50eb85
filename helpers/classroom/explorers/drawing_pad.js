// The browser's half of the drawing pad: where one draws, what the model sees, and what
// the two say. Python's half is drawing_pad.py, which hands over ONNX Runtime Web as bytes:
// nothing comes from a network.

function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

// `drawing` is called with all strokes at each frame in which they have grown, `drawn` when
// the pen leaves the paper.
function makePaper(drawing, drawn) {
  // An SVG, unlike a canvas, follows the theme, and is sharp on any screen.
  const innerHTML = '<svg viewBox="0 0 1 1"><path></path></svg>';
  const ariaLabel = "Draw here with the mouse, a pen or a finger";
  const paper = element("div", { className: "paper", role: "img", ariaLabel, innerHTML });
  let strokes = [];
  let pen = null; // the pointer that draws
  let frame = 0;
  const paint = () => paper.querySelector("path").setAttribute("d", pathOf(strokes));
  const grow = (event) => {
    const box = paper.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width;
    strokes.at(-1).push([x, (event.clientY - box.top) / box.height]);
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      paint();
      drawing(strokes);
    });
  };
  const rest = () => {
    cancelAnimationFrame(frame);
    [frame, pen] = [0, null];
    paint();
  };
  paper.addEventListener("pointerdown", (event) => {
    // Neither a second finger nor the right button draws.
    if (!event.isPrimary || event.button) return;
    paper.setPointerCapture(event.pointerId);
    pen = event.pointerId;
    strokes.push([]);
    grow(event);
    event.preventDefault();
  });
  paper.addEventListener("pointermove", (event) => {
    if (event.pointerId === pen) grow(event);
  });
  const lift = (event) => {
    if (event.pointerId !== pen) return;
    rest();
    drawn(strokes);
  };
  paper.addEventListener("pointerup", lift);
  paper.addEventListener("pointercancel", lift);
  const clear = () => {
    strokes = [];
    rest();
  };
  return { paper, clear };
}

function walkWithKeys(grid, cells) {
  grid.addEventListener("keydown", (event) => {
    const from = cells.indexOf(event.target);
    const to = neighbour(from, event.key, event.ctrlKey);
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation(); // with Ctrl, too
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
    "What the model sees: arrow keys, Home and End move, the space bar sets or clears ink",
  );
  for (let k = 0; k < cells.length; k += SIDE) {
    const line = element("div", { className: "row" }, ...cells.slice(k, k + SIDE));
    line.setAttribute("role", "row");
    grid.append(line);
  }
  walkWithKeys(grid, cells);
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

function makePad(clear, paper, grid, bars, words, details) {
  const button = element("button", { type: "button", textContent: "Clear" });
  button.addEventListener("click", clear);
  const title = (textContent) => element("p", { className: "title", textContent });
  const part = (...nodes) => element("div", { className: "part" }, ...nodes);
  const parts = element(
    "div",
    { className: "parts" },
    part(title("Draw a digit"), paper, button),
    part(title("What the model sees"), grid),
    bars,
  );
  // No <section>: reveal.js would take it for a slide.
  const names = { className: "sls-pad", role: "region", ariaLabel: "Drawing pad" };
  const pad = element("div", names, parts, words, details);
  pad.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey) event.stopPropagation(); // JupyterLab's shortcuts
  });
  return pad;
}

// The whole pad, and a function that makes it show an image, the answers to it, and
// whether a stroke grows.
function makeView({ drawing, drawn, chosen, cleared, opened }) {
  const { paper, clear } = makePaper(drawing, drawn);
  const { grid, setImage } = makeGrid(chosen);
  const bars = makeBars();
  const logits = makeDetails(opened);
  const words = element("p", { className: "words", role: "status" });
  const pad = makePad(cleared, paper, grid, bars.node, words, logits.details);
  const show = (image, { python, browser, isAlone, isLate, reasons }, grows) => {
    const isDone = Boolean(python && (browser || isAlone)) && !grows;
    setImage(image);
    bars.set(python, browser, isAlone);
    logits.set(python, browser);
    pad.toggleAttribute("data-done", isDone);
    // Who listens hears nothing while a stroke grows, and one sentence at its end.
    const text = inWords(python, browser, reasons);
    if (grows) words.textContent = "";
    else if ((isDone || isLate) && words.textContent !== text) words.textContent = text;
  };
  return { pad, clear, show };
}

// The browser's runtime is asked at each frame of a stroke, Python at its end.
function render({ model, el }) {
  let [image, grows] = [model.get("image"), false];
  const line = makeLine(model, show);
  const runtime = makeRuntime(
    () => look(image, grows),
    (live) => {
      if (!grows && same(live.image, model.get("image"))) line.set("browser", live);
      show();
    },
  );
  function show() {
    view.show(image, answersTo(image, grows, model, line, runtime), grows);
  }
  function look(next, growing) {
    [image, grows] = [next, growing];
    runtime.ask(image);
    show();
  }
  const send = (next) => {
    line.expect();
    look(next, false);
    line.set("image", next);
  };
  const replace = (next) => {
    view.clear(); // from here on the grid is the drawing
    send(next);
  };
  const view = makeView({
    drawing: (strokes) => look(reduce(strokes), true),
    drawn: (strokes) => send(reduce(strokes)),
    chosen: (k) => replace(image.with(k, Number(image[k] < 0.5))),
    cleared: () => replace(image.map(() => 0)),
    opened: show,
  });
  const stop = follow(model, {
    "msg:custom": runtime.receive,
    "change:python change:browser": show,
    "change:image": () => {
      if (grows || same(image, model.get("image"))) return;
      view.clear(); // it comes from Python, or from another view
      look(model.get("image"), false);
    },
  });
  show();
  line.send({ wanted: "runtime" });
  el.append(view.pad);
  return () => {
    line.end();
    stop();
  };
}

function follow(model, changes) {
  const all = Object.entries(changes);
  for (const [names, react] of all) model.on(names, react);
  return () => {
    for (const [names, react] of all) model.off(names, react);
  };
}

export default { render };
