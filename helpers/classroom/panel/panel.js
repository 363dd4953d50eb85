// The browser's half of the live panel: native controls, an SVG picture, its words.
// No library and no build step. Python's half is panel.py.

function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

function makeControl(spec, id, moved) {
  if (spec.kind === "range" || spec.kind === "stops") {
    // The slider over uneven stops moves over their numbers.
    const stops = spec.kind === "stops" ? spec.options : null;
    const input = element("input", { type: "range", id });
    const limits = stops ? { min: 0, max: stops.length - 1, step: 1 }
      : { min: spec.low, max: spec.high, step: spec.step };
    Object.assign(input, limits);
    const shown = element("output", { htmlFor: id });
    shown.setAttribute("aria-live", "off"); // the slider itself says its value
    input.addEventListener("input", () =>
      moved(stops ? stops[input.value] : Number(input.value)));
    const set = (value) => {
      const text = stops ? String(value) : (value / 10 ** spec.decimals).toFixed(spec.decimals);
      input.value = stops ? stops.indexOf(value) : value;
      input.setAttribute("aria-valuetext", text);
      shown.value = text;
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
  if (spec.kind === "menu") {
    const options = spec.options.map((option) => element("option", { textContent: option }));
    const input = element("select", { id }, ...options);
    input.addEventListener("change", () => moved(input.value));
    const label = element("label", { htmlFor: id, textContent: spec.label });
    const set = (value) => { input.value = value; };
    return { node: element("div", { className: "control" }, label, input), set };
  }
  const ticks = spec.kind === "ticks"; // any number of boxes; otherwise one radio button
  const group = element("fieldset", { className: `control ${spec.kind}` });
  group.append(element("legend", { textContent: spec.label }));
  const ticked = () => spec.options.filter((option, k) => inputs[k].checked);
  const inputs = spec.options.map((option, k) => {
    const input = element("input", { type: ticks ? "checkbox" : "radio", id: `${id}-${k}` });
    if (!ticks) input.name = id;
    input.addEventListener("change", () => moved(ticks ? ticked() : option));
    const label = element("label", { htmlFor: input.id, textContent: option });
    group.append(element("span", {}, input, label));
    return input;
  });
  const set = (value) => {
    inputs.forEach((input, k) => {
      const option = spec.options[k];
      input.checked = ticks ? value.includes(option) : option === value;
    });
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

function makeTable([headings, ...rows]) {
  const row = (tag, texts) =>
    element("tr", {}, ...texts.map((text) => element(tag, { textContent: text })));
  const body = element("tbody", {}, ...rows.map((texts) => row("td", texts)));
  return element("table", {}, element("thead", {}, row("th", headings)), body);
}

function makeCopy(code) {
  const button = element("button", { type: "button", textContent: "Copy the code" });
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch { // not allowed here: select it, so that Ctrl+C does
      getSelection().selectAllChildren(code);
      button.textContent = "Selected: now press Ctrl+C";
    }
    setTimeout(() => { button.textContent = "Copy the code"; }, 2000);
  });
  return button;
}

function render({ model, el }) {
  // Each panel runs its own copy of this module, so a counter would repeat.
  const prefix = `sls-panel-${Math.random().toString(36).slice(2)}`;
  const picture = element("div", { className: "picture" });
  const words = element("p", { className: "words" });
  const links = element("p", { className: "links" });
  const table = element("div", { className: "table" });
  const code = element("pre", { className: "code", tabIndex: 0 }); // a long one scrolls
  code.setAttribute("aria-label", "The same in code");
  code.setAttribute("role", "region");
  const copy = makeCopy(code);
  picture.setAttribute("aria-hidden", "true"); // the words say the same
  words.setAttribute("aria-live", "polite");
  const specs = model.get("controls");
  const controls = specs.map((spec, k) =>
    makeControl(spec, `${prefix}-${k}`, (value) => {
      // Every view of the panel hears of the change, this one too, and shows it.
      model.set("values", { ...model.get("values"), [spec.name]: value });
      // While the kernel is busy, ipywidgets keeps only the newest value to send.
      model.save_changes();
    }));
  const buttons = model.get("buttons").map((name) => {
    const button = element("button", { type: "button", textContent: name });
    button.addEventListener("click", () =>
      model.send({ pressed: name, values: model.get("values") }));
    return button;
  });
  const form = element("div", { className: "controls" }, ...controls.map((c) => c.node));
  if (buttons.length) form.append(element("div", { className: "buttons" }, ...buttons));
  const results = element("div", { className: "results" }, picture, words, links);
  const kept = element("div", { className: "kept" }, table, code, copy);
  // No <section>: reveal.js would take it for a slide.
  const panel = element("div", { className: "sls-panel" }, form, results, kept);
  panel.setAttribute("role", "region");
  panel.classList.toggle("beside", model.get("beside"));
  panel.setAttribute("aria-label", model.get("title"));
  // JupyterLab's shortcuts would take the keys: arrows move the cell selection, `a`
  // inserts a cell. The controls need them.
  panel.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey) event.stopPropagation();
  });

  let painted;
  function show() {
    const values = specs.map((spec) => model.get("values")[spec.name]);
    controls.forEach((control, k) => control.set(values[k]));
    const key = JSON.stringify(values);
    // An older answer is shown too, so that the picture moves during a long drag.
    const frame = model.get("frames")[key] ?? model.get("frame");
    if (frame !== painted) {
      painted = frame;
      // Pictures drawn ahead share their lines, and are sent as the lines' numbers.
      const lines = model.get("lines");
      const held = Array.isArray(frame.svg);
      picture.innerHTML = held ? frame.svg.map((k) => lines[k]).join("\n") : frame.svg;
      words.textContent = frame.text;
      links.replaceChildren(...frame.links.map(makeLink));
      table.replaceChildren(...(frame.table.length ? [makeTable(frame.table)] : []));
      code.textContent = frame.code;
      code.hidden = copy.hidden = !frame.code;
    }
    const behind = frame.key !== key; // Python has yet to answer
    if (behind) picture.setAttribute("aria-busy", "true");
    else picture.removeAttribute("aria-busy");
  }
  const changes = "change:values change:frame";
  model.on(changes, show);
  show();
  el.append(element("div", { className: "sls-room" }, panel));
  return () => model.off(changes, show);
}

export default { render };
