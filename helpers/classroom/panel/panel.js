// The browser's half of the live panel: native controls, an SVG picture, its words.
// No library, no import, no build step: Python joins the files that live.py names, and
// anywidget loads them as one module; pages of handouts join held_panels.js to them, which
// calls `render`. Python's half is live.py.

// Python names a picture by its values, in the order of the controls: both sides must
// write the same.
export const keyOf = (specs, values) =>
  JSON.stringify(specs.map((spec) => values[spec.name]));

// An older answer is shown too, so that the picture moves during a long drag; then Python
// has yet to answer.
export const frameFor = (key, frames, newest) => ({
  frame: frames[key] ?? newest,
  isBehind: !(key in frames) && newest.key !== key,
});

// A sentence for everyone where Python does not answer; above the picture, where it is seen.
function makeStatus() {
  const node = element("p", { className: "status" });
  node.setAttribute("role", "status");
  const say = (words) => {
    if (node.textContent !== words) node.textContent = words;
    node.classList.toggle("passing", passes(words));
  };
  return { node, say };
}

function makePanel(model, ...nodes) {
  // No <section>: reveal.js would take it for a slide.
  const panel = element("div", { className: "sls-panel" }, ...nodes);
  panel.setAttribute("role", "region");
  panel.classList.toggle("beside", model.get("beside"));
  panel.setAttribute("aria-label", model.get("title"));
  // JupyterLab's shortcuts would take the keys: arrows move the cell selection, `a`
  // inserts a cell. The controls need them.
  panel.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey) event.stopPropagation();
  });
  return element("div", { className: "sls-room" }, panel);
}

// The functions that the controls call.
const makeActions = (model, contact) => ({
  move(spec, value) {
    // Every view of the panel hears of the change, this one too, and shows it.
    model.set("values", { ...model.get("values"), ...spec.sets, [spec.name]: value });
    // While the kernel is busy, ipywidgets keeps only the newest value to send.
    model.save_changes(contact.callbacks);
  },
  press: (button) => contact.press(button),
});

const CHANGES = ["values", "frame", "guessed", "buttons", "disabled", "progress"]
  .map((name) => `change:${name}`)
  .join(" ");

function listen(model, update, contact) {
  const changes = {
    [CHANGES]: update,
    "change:frame": () => contact.heard(),
    "msg:custom": (message) => contact.hear(message),
  };
  for (const [names, react] of Object.entries(changes)) model.on(names, react);
  return () => {
    for (const [names, react] of Object.entries(changes)) model.off(names, react);
  };
}

function render({ model, el }) {
  const specs = model.get("controls");
  const held = Object.values(model.get("frames")); // where there are any, Python need not be
  const { results, kept, picture, show, setBusy, reserve } = makeAnswer(
    model.get("beside"),
  );
  const status = makeStatus();
  const contact = new Contact(model, { say: status.say, setBusy });
  const actions = makeActions(model, contact);
  const { form, set, prefix } = makeForm(model, actions);
  const layHandles = makeHandles(picture, specs, actions.move);
  const guessing = new Guessing(model, prefix, picture);
  let painted = [];
  function update() {
    const values = model.get("values");
    const key = keyOf(specs, values);
    const newest = model.get("frame");
    const { frame, isBehind } = frameFor(key, model.get("frames"), newest);
    const inOrder = specs.map((spec) => values[spec.name]);
    set(inOrder, frame.faults ?? {});
    const state = [frame, model.get("guessed")];
    if (state.some((part, k) => part !== painted[k])) {
      show(guessing.of(frame), model.get("lines"));
      guessing.draw();
    }
    painted = state;
    layHandles(values, !isBehind);
    contact.setBehind(isBehind);
  }
  const leave = listen(model, update, contact);
  reserve(held, guessing.room);
  update();
  if (!held.length) contact.ask();
  const left = element("div", { className: "form" }, form, ...guessing.nodes);
  const answer = element("div", { className: "answer" }, status.node, results);
  el.append(makePanel(model, left, answer, kept));
  return () => {
    leave();
    contact.stop();
  };
}

export default { render };
