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

function makeButtons(names, press) {
  let disabled = [];
  const buttons = names.map((textContent) => {
    const button = element("button", { type: "button", textContent });
    // A button that is really disabled would lose the focus with its own press.
    button.addEventListener("click", () => {
      if (!disabled.includes(textContent)) press(textContent);
    });
    return button;
  });
  const disable = (those) => {
    disabled = those;
    names.forEach((name, k) => {
      buttons[k].setAttribute("aria-disabled", those.includes(name));
    });
  };
  return { buttons, disable };
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
  const { buttons, disable } = makeButtons(model.get("buttons"), press);
  const progress = makeProgress();
  const form = element("div", { className: "sls-controls" }, ...grouped(specs, nodes));
  const row = element("div", { className: "buttons" }, ...buttons, progress.node);
  if (buttons.length) form.append(row);
  const set = (values, faults) => {
    controls.forEach((control, k) => {
      control.set(values[k]);
      control.setFault?.(faults[specs[k].name] ?? "");
    });
    disable(model.get("disabled"));
    progress.show(model.get("progress"));
  };
  return { form, set, prefix };
}
