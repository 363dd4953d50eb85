// The browser's half of the live panel: native controls, an SVG picture, its words.
// No library and no build step. Python's half is panel.py.

function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

let panels = 0; // makes ids unique on a page with several panels

function makeControl(spec, id, moved) {
  if (spec.kind === "range") {
    const input = element("input", { type: "range", id });
    Object.assign(input, { min: spec.low, max: spec.high, step: spec.step });
    const shown = element("output", { htmlFor: id });
    input.addEventListener("input", () => moved(Number(input.value)));
    const set = (value) => {
      input.value = value;
      shown.value = value;
    };
    const label = element("label", { htmlFor: id, textContent: spec.label });
    return { node: element("div", { className: "control" }, label, input, shown), set };
  }
  if (spec.kind === "check") {
    const input = element("input", { type: "checkbox", id });
    input.addEventListener("change", () => moved(input.checked));
    const label = element("label", { htmlFor: id, textContent: spec.label });
    const set = (value) => { input.checked = value; };
    return { node: element("div", { className: "control" }, input, label), set };
  }
  const group = element("fieldset", { className: "control" });
  group.append(element("legend", { textContent: spec.label }));
  const inputs = spec.options.map((option, k) => {
    const input = element("input", { type: "radio", name: id, id: `${id}-${k}` });
    input.addEventListener("change", () => moved(option));
    const label = element("label", { htmlFor: input.id, textContent: option });
    group.append(element("span", {}, input, label));
    return input;
  });
  const set = (value) => {
    inputs.forEach((input, k) => { input.checked = spec.options[k] === value; });
  };
  return { node: group, set };
}

function makeLink([label, path]) {
  const link = element("a", { textContent: label });
  // In JupyterLab a click opens the notebook as a tab; elsewhere the address serves,
  // which is relative to the folder of notebooks.
  link.href = path.startsWith("notebooks/") ? path.slice("notebooks/".length) : `../${path}`;
  link.dataset.commandlinkerCommand = "docmanager:open";
  const factory = path.endsWith(".md") ? "Markdown Preview" : "default";
  link.dataset.commandlinkerArgs = JSON.stringify({ path, factory });
  return link;
}

function render({ model, el }) {
  const prefix = `sls-panel-${++panels}`;
  const picture = element("div", { className: "picture" });
  const words = element("p", { className: "words" });
  const links = element("p", { className: "links" });
  words.setAttribute("aria-live", "polite");
  const names = model.get("controls").map((spec) => spec.name);
  let values = { ...model.get("values") };

  function paint(frame) {
    picture.innerHTML = frame.svg;
    words.textContent = frame.text;
    links.replaceChildren(...frame.links.map(makeLink));
    picture.removeAttribute("aria-busy");
  }

  function show() {
    names.forEach((name, k) => controls[k].set(values[name]));
    const key = JSON.stringify(names.map((name) => values[name]));
    const held = model.get("frames")[key] ?? model.get("frame");
    if (held.key === key) paint(held);
    else picture.setAttribute("aria-busy", "true"); // Python is asked, and will answer
  }

  const controls = model.get("controls").map((spec, k) =>
    makeControl(spec, `${prefix}-${k}`, (value) => {
      values = { ...values, [spec.name]: value };
      show();
      model.set("values", values);
      // While the kernel is busy, ipywidgets keeps only the newest value to send.
      model.save_changes();
    }));

  const form = element("div", { className: "controls" }, ...controls.map((c) => c.node));
  const panel = element("section", { className: "sls-panel" }, form, picture, words, links);
  panel.setAttribute("aria-label", model.get("title"));
  // JupyterLab's shortcuts would take the keys: arrows move the cell selection, `a`
  // inserts a cell. The controls need them.
  panel.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey) event.stopPropagation();
  });
  const onValues = () => {
    values = { ...model.get("values") };
    show();
  };
  // An answer to an older question is shown too, so that the picture moves during a long
  // drag; the newest question's answer comes last and stays.
  const onFrame = () => { if (model.get("frame").svg) paint(model.get("frame")); };
  model.on("change:values", onValues);
  model.on("change:frame", onFrame);
  show();
  el.append(panel);
  return () => {
    model.off("change:values", onValues);
    model.off("change:frame", onFrame);
  };
}

export default { render };
