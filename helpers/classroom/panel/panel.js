// The browser's half of the live panel: native controls, an SVG picture, its words.
// No library, no import, no build step: Python joins controls.js, answer.js, dragging.js
// and this file, in this order, and anywidget loads them as one module; pages of handouts join
// held_panels.js to them, which calls `render`. Python's half is __init__.py.
// What is exported beside the default serves the tests.

// Every view of the panel hears of the change, this one too, and shows it. While the
// kernel is busy, ipywidgets keeps only the newest value to send.
function move(model, spec, value) {
  model.set("values", { ...model.get("values"), ...spec.sets, [spec.name]: value });
  model.save_changes();
}

function makeForm(model) {
  // Each panel runs its own copy of this module, so a counter would repeat.
  const prefix = `sls-panel-${Math.random().toString(36).slice(2)}`;
  const controls = model
    .get("controls")
    .map((spec, k) =>
      CONTROLS[spec.kind](spec, `${prefix}-${k}`, (value) => move(model, spec, value)),
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

// Python names a picture by its values, in the order of the controls: both sides must
// write the same.
export const keyOf = (specs, values) =>
  JSON.stringify(specs.map((spec) => values[spec.name]));

// An older answer is shown too, so that the picture moves during a long drag.
export const frameFor = (key, frames, newest) => frames[key] ?? newest;

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

  const layHandles = makeHandles(
    panel.querySelector(".picture"),
    model.get("controls"),
    (spec, value) => move(model, spec, value),
  );
  let painted;
  function update() {
    const [specs, values] = [model.get("controls"), model.get("values")];
    const key = keyOf(specs, values);
    const frame = frameFor(key, model.get("frames"), model.get("frame"));
    set(specs.map((spec) => values[spec.name]));
    if (frame !== painted) show(frame, model.get("lines"));
    painted = frame;
    layHandles(values, frame.key === key);
    setBusy(frame.key !== key); // Python has yet to answer
  }
  const changes = "change:values change:frame";
  model.on(changes, update);
  update();
  el.append(element("div", { className: "sls-room" }, panel));
  return () => model.off(changes, update);
}

export default { render };
