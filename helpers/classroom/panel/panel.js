// The browser's half of the live panel: native controls, an SVG picture, its words.
// No library, no import, no build step: anywidget loads this file as it is, and pages of
// handouts join held_panels.js to it, which calls `render`. Python's half is __init__.py.
// What is exported beside the default serves the tests.

function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

// A scale says what a slider's position stands for.

export const rangeScale = ({ low, high, step, decimals }) => ({
  limits: { min: low, max: high, step },
  valueAt: Number,
  positionOf: (value) => value,
  textOf: (value) => (value / 10 ** decimals).toFixed(decimals),
});

// The slider over uneven stops moves over their numbers.
export const stopsScale = ({ options }) => ({
  limits: { min: 0, max: options.length - 1, step: 1 },
  valueAt: (position) => options[position],
  positionOf: (value) => options.indexOf(value),
  textOf: String,
});

// A control is a node, and a function that makes it stand on a value. `moved` is called
// with the value that the learner gives it.

const label = (htmlFor, textContent) => element("label", { htmlFor, textContent });

const inRow = (...nodes) => element("div", { className: "control" }, ...nodes);

function slider(scale, spec, id, moved) {
  const input = element("input", { type: "range", id, ...scale.limits });
  const shown = element("output", { htmlFor: id });
  shown.setAttribute("aria-live", "off"); // the slider itself says its value
  input.addEventListener("input", () => moved(scale.valueAt(input.value)));
  const set = (value) => {
    const text = scale.textOf(value);
    input.value = scale.positionOf(value);
    input.setAttribute("aria-valuetext", text);
    shown.value = text;
  };
  return { node: inRow(label(id, spec.label), input, shown), set };
}

function check(spec, id, moved) {
  const input = element("input", { type: "checkbox", id });
  input.addEventListener("change", () => moved(input.checked));
  const set = (value) => {
    input.checked = value;
  };
  return { node: inRow(input, label(id, spec.label)), set };
}

function menu(spec, id, moved) {
  const options = spec.options.map((textContent) => element("option", { textContent }));
  const input = element("select", { id }, ...options);
  input.addEventListener("change", () => moved(input.value));
  const set = (value) => {
    input.value = value;
  };
  return { node: inRow(label(id, spec.label), input), set };
}

// Boxes or radio buttons; the value is the list of those that are ticked.
function group(type, spec, id, moved) {
  const inputs = spec.options.map((_, k) =>
    element("input", { type, id: `${id}-${k}`, name: id }),
  );
  const ticked = () => spec.options.filter((_, k) => inputs[k].checked);
  const lines = inputs.map((input, k) => {
    input.addEventListener("change", () => moved(ticked()));
    return element("span", {}, input, label(input.id, spec.options[k]));
  });
  const legend = element("legend", { textContent: spec.label });
  const className = `control ${spec.kind}`;
  const set = (value) => {
    inputs.forEach((input, k) => {
      input.checked = value.includes(spec.options[k]);
    });
  };
  return { node: element("fieldset", { className }, legend, ...lines), set };
}

function choice(spec, id, moved) {
  const { node, set } = group("radio", spec, id, ([option]) => moved(option));
  return { node, set: (value) => set([value]) };
}

const CONTROLS = {
  range: (spec, id, moved) => slider(rangeScale(spec), spec, id, moved),
  stops: (spec, id, moved) => slider(stopsScale(spec), spec, id, moved),
  ticks: (spec, id, moved) => group("checkbox", spec, id, moved),
  check,
  menu,
  choice,
};

function makeForm(model) {
  // Each panel runs its own copy of this module, so a counter would repeat.
  const prefix = `sls-panel-${Math.random().toString(36).slice(2)}`;
  const controls = model.get("controls").map((spec, k) =>
    CONTROLS[spec.kind](spec, `${prefix}-${k}`, (value) => {
      // Every view of the panel hears of the change, this one too, and shows it.
      model.set("values", { ...model.get("values"), [spec.name]: value });
      // While the kernel is busy, ipywidgets keeps only the newest value to send.
      model.save_changes();
    }),
  );
  const buttons = model.get("buttons").map((name) => {
    const button = element("button", { type: "button", textContent: name });
    button.addEventListener("click", () =>
      model.send({ pressed: name, values: model.get("values") }),
    );
    return button;
  });
  const nodes = controls.map((control) => control.node);
  const form = element("div", { className: "controls" }, ...nodes);
  if (buttons.length) form.append(element("div", { className: "buttons" }, ...buttons));
  const set = (values) => {
    controls.forEach((control, k) => {
      control.set(values[k]);
    });
  };
  return { form, set };
}

// In JupyterLab a click opens the notebook as a tab; elsewhere the address serves, which
// is relative to the folder of notebooks.
export const addressOf = (path) =>
  path.startsWith("notebooks/") ? path.slice("notebooks/".length) : `../${path}`;

function makeLink([textContent, path]) {
  const link = element("a", { textContent, href: addressOf(path) });
  const factory = path.endsWith(".md") ? "Markdown Preview" : "default";
  link.dataset.commandlinkerCommand = "docmanager:open";
  link.dataset.commandlinkerArgs = JSON.stringify({ path, factory });
  return link;
}

function makeTable([headings, ...rows]) {
  const row = (tag, texts) =>
    element("tr", {}, ...texts.map((textContent) => element(tag, { textContent })));
  const body = element("tbody", {}, ...rows.map((texts) => row("td", texts)));
  return element("table", {}, element("thead", {}, row("th", headings)), body);
}

function makeCopy(code) {
  const button = element("button", { type: "button", textContent: "Copy the code" });
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      // Not allowed here: select it, so that Ctrl+C does.
      getSelection().selectAllChildren(code);
      button.textContent = "Selected: now press Ctrl+C";
    }
    setTimeout(() => {
      button.textContent = "Copy the code";
    }, 2000);
  });
  return button;
}

// Python names a picture by its values, in the order of the controls: both sides must
// write the same.
export const keyOf = (specs, values) =>
  JSON.stringify(specs.map((spec) => values[spec.name]));

// An older answer is shown too, so that the picture moves during a long drag.
export const frameFor = (key, frames, newest) => frames[key] ?? newest;

// Pictures drawn ahead share their lines, and are sent as the lines' numbers.
export const svgOf = (frame, lines) =>
  Array.isArray(frame.svg) ? frame.svg.map((k) => lines[k]).join("\n") : frame.svg;

// What Python has drawn: the picture and its words, and below them what can be kept.
function makeAnswer() {
  const picture = element("div", { className: "picture" });
  const words = element("p", { className: "words" });
  const links = element("p", { className: "links" });
  const table = element("div", { className: "table" });
  const code = element("pre", { className: "code", tabIndex: 0 }); // a long one scrolls
  const copy = makeCopy(code);
  picture.setAttribute("aria-hidden", "true"); // the words say the same
  words.setAttribute("aria-live", "polite");
  code.setAttribute("aria-label", "The same in code");
  code.setAttribute("role", "region");
  const show = (frame, lines) => {
    picture.innerHTML = svgOf(frame, lines);
    words.textContent = frame.text;
    links.replaceChildren(...frame.links.map(makeLink));
    table.replaceChildren(...(frame.table.length ? [makeTable(frame.table)] : []));
    code.textContent = frame.code;
    code.hidden = copy.hidden = !frame.code;
  };
  const setBusy = (busy) => {
    if (busy) picture.setAttribute("aria-busy", "true");
    else picture.removeAttribute("aria-busy");
  };
  const results = element("div", { className: "results" }, picture, words, links);
  const kept = element("div", { className: "kept" }, table, code, copy);
  return { nodes: [results, kept], show, setBusy };
}

function render({ model, el }) {
  const { form, set } = makeForm(model);
  const { nodes, show, setBusy } = makeAnswer();
  // No <section>: reveal.js would take it for a slide.
  const panel = element("div", { className: "sls-panel" }, form, ...nodes);
  panel.setAttribute("role", "region");
  panel.classList.toggle("beside", model.get("beside"));
  panel.setAttribute("aria-label", model.get("title"));
  // JupyterLab's shortcuts would take the keys: arrows move the cell selection, `a`
  // inserts a cell. The controls need them.
  panel.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey) event.stopPropagation();
  });

  let painted;
  function update() {
    const [specs, values] = [model.get("controls"), model.get("values")];
    const key = keyOf(specs, values);
    const frame = frameFor(key, model.get("frames"), model.get("frame"));
    set(specs.map((spec) => values[spec.name]));
    if (frame !== painted) show(frame, model.get("lines"));
    painted = frame;
    setBusy(frame.key !== key); // Python has yet to answer
  }
  const changes = "change:values change:frame";
  model.on(changes, update);
  update();
  el.append(element("div", { className: "sls-room" }, panel));
  return () => model.off(changes, update);
}

export default { render };
