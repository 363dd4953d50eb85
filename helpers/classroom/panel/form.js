// All controls of a panel, under their headings, and its buttons.

// Controls that stand side by side and name the same group share a heading.
export function groupsOf(specs) {
  const groups = [];
  specs.forEach(({ group = "" }, k) => {
    if (groups.at(-1)?.heading === group) groups.at(-1).members.push(k);
    else groups.push({ heading: group, members: [k] });
  });
  return groups;
}

function grouped(specs, nodes) {
  return groupsOf(specs).map(({ heading, members }) => {
    const inside = members.map((k) => nodes[k]);
    if (!heading) return element("div", { className: "group" }, ...inside);
    const legend = element("legend", { className: "heading", textContent: heading });
    return element("fieldset", { className: "group" }, legend, ...inside);
  });
}

function makeButton(press) {
  const button = element("button", { type: "button" });
  // A button that is really disabled would lose the focus with its own press.
  button.addEventListener("click", () => {
    if (button.getAttribute("aria-disabled") !== "true") press(button.textContent);
  });
  return button;
}

const focusFirst = (form) => form.querySelector("input, select, textarea").focus();

// Python may change them: a button that stays in its place keeps the focus.
function makeButtons(press, behind) {
  const node = element("div", { className: "buttons" }, behind);
  const buttons = [];
  const show = (names, disabled) => {
    while (buttons.length < names.length) {
      buttons.push(makeButton(press));
      node.insertBefore(buttons.at(-1), behind);
    }
    for (const gone of buttons.splice(names.length)) {
      if (gone === document.activeElement) focusFirst(node.parentNode);
      gone.remove();
    }
    names.forEach((name, k) => {
      if (buttons[k].textContent !== name) buttons[k].textContent = name;
      buttons[k].setAttribute("aria-disabled", disabled.includes(name));
    });
    node.hidden = !names.length;
  };
  return { node, show };
}

function makeProgress() {
  const bar = element("progress");
  const words = element("span");
  const node = element("div", { className: "steps", hidden: true }, bar, words);
  bar.setAttribute("aria-label", "Progress");
  const show = (progress) => {
    node.hidden = !progress;
    if (!progress) return;
    bar.max = progress.of;
    bar.value = progress.done;
    words.textContent = progress.says;
  };
  return { node, show };
}

export function makeForm(model, { move, press }) {
  // Each panel runs its own copy of this module, so a counter would repeat.
  const prefix = `sls-panel-${Math.random().toString(36).slice(2)}`;
  const specs = model.get("controls");
  const controls = specs.map((spec, k) =>
    CONTROLS[spec.kind](spec, `${prefix}-${k}`, (value) => move(spec, value)),
  );
  const nodes = controls.map((control) => control.node);
  const progress = makeProgress();
  const buttons = makeButtons(press, progress.node);
  const groups = grouped(specs, nodes);
  const form = element("div", { className: "sls-controls" }, ...groups, buttons.node);
  const set = (values, faults) => {
    controls.forEach((control, k) => {
      control.set(values[k]);
      control.setFault?.(faults[specs[k].name] ?? "");
    });
    buttons.show(model.get("buttons"), model.get("disabled"));
    progress.show(model.get("progress"));
  };
  return { form, set, prefix };
}
