// The controls of a panel: native elements, and what a position of theirs stands for.

export function element(tag, properties = {}, ...children) {
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

export const CONTROLS = {
  range: (spec, id, moved) => slider(rangeScale(spec), spec, id, moved),
  stops: (spec, id, moved) => slider(stopsScale(spec), spec, id, moved),
  ticks: (spec, id, moved) => group("checkbox", spec, id, moved),
  check,
  menu,
  choice,
};
