// The controls of a panel, made of native ones, which bring keys, focus and names along.
// What is exported serves the other files, which follow in the same module, and the tests.

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

// What stands under a slider: each stop where they are few, otherwise the ends.
const MOST_MARKS = 12;

export function marksOf({ limits: { min, max, step }, valueAt, textOf }) {
  const steps = (max - min) / step;
  const stride = steps < MOST_MARKS ? 1 : steps;
  return Array.from({ length: steps / stride + 1 }, (_, k) => ({
    at: (k * stride) / steps,
    text: textOf(valueAt(min + k * stride * step)),
  }));
}

// Whether a mark would touch the value, which moves along the same line.
const PER_LETTER = 0.022; // of the slider's length, for half of a letter and its gap

export const isUnder = (mark, at, text) =>
  Math.abs(mark.at - at) < PER_LETTER * (mark.text.length + text.length);

// A fold says how many of its sliders have left their first stop.
export const summaryOf = (heading, values, [first]) => {
  const count = values.filter((value) => value !== first).length;
  return count ? `${heading}: ${count} set` : heading;
};

// A control is a node, and a function that makes it stand on a value. `moved` is called
// with the value that the learner gives it.

const label = (htmlFor, textContent) => element("label", { htmlFor, textContent });

const inRow = (kind, ...nodes) =>
  element("div", { className: `control ${kind}` }, ...nodes);

function slider(scale, spec, id, moved) {
  const input = element("input", { type: "range", id, ...scale.limits });
  const shown = element("output", { htmlFor: id });
  shown.setAttribute("aria-live", "off"); // the slider itself says its value
  const marks = marksOf(scale).map((mark) => {
    const node = element("span", { textContent: mark.text });
    node.style.setProperty("--at", mark.at);
    return { ...mark, node };
  });
  const line = element("div", { className: "marks" }, ...marks.map(({ node }) => node));
  line.setAttribute("aria-hidden", "true");
  const track = element("div", { className: "track" }, input, line, shown);
  input.addEventListener("input", () => moved(scale.valueAt(input.value)));
  const { min, max } = scale.limits;
  const set = (value) => {
    const text = scale.textOf(value);
    const at = (scale.positionOf(value) - min) / (max - min);
    input.value = scale.positionOf(value);
    input.setAttribute("aria-valuetext", text);
    shown.value = text;
    track.style.setProperty("--at", at);
    for (const mark of marks) {
      mark.node.classList.toggle("under", isUnder(mark, at, text));
    }
  };
  return { node: inRow("slider", label(id, spec.label), track), input, set };
}

function check(spec, id, moved) {
  const input = element("input", { type: "checkbox", id });
  input.addEventListener("change", () => moved(input.checked));
  const set = (value) => {
    input.checked = value;
  };
  return { node: inRow("check", input, label(id, spec.label)), set };
}

function menu(spec, id, moved) {
  const options = spec.options.map((textContent) => element("option", { textContent }));
  const input = element("select", { id }, ...options);
  input.addEventListener("change", () => moved(input.value));
  const set = (value) => {
    input.value = value;
  };
  return { node: inRow("menu", label(id, spec.label), input), set };
}

// Boxes or radio buttons; the value is the list of those that are ticked.
function choices(type, spec, id, moved) {
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
  const row = element("div", { className: "options" }, ...lines);
  const set = (value) => {
    inputs.forEach((input, k) => {
      input.checked = value.includes(spec.options[k]);
    });
  };
  return { node: element("fieldset", { className }, legend, row), set };
}

// A small slider for each name, folded away at first; the value is the list of numbers.
function sliders({ names, stops, texts, each, label: heading }, id, moved) {
  let values = [];
  const summary = element("summary");
  const inputs = names.map((name, k) => {
    const limits = { min: 0, max: stops.length - 1, step: 1 };
    const input = element("input", { type: "range", id: `${id}-${k}`, ...limits });
    input.setAttribute("aria-label", `${each} ${name}`);
    input.addEventListener("input", () => moved(values.with(k, stops[input.value])));
    return input;
  });
  const rows = inputs.map((input, k) => {
    const shown = element("output", { htmlFor: input.id });
    shown.setAttribute("aria-live", "off"); // the slider itself says its value
    const track = element("div", { className: "track" }, input);
    const node = element("div", { className: "row" }, label(input.id, names[k]), track);
    node.append(shown);
    const set = (value) => {
      const at = stops.indexOf(value);
      input.value = at;
      input.setAttribute("aria-valuetext", texts[at]);
      shown.value = texts[at];
      track.style.setProperty("--at", at / (stops.length - 1));
    };
    return { node, set };
  });
  const all = element("div", { className: "rows" }, ...rows.map(({ node }) => node));
  const set = (given) => {
    values = [...given];
    rows.forEach((row, k) => {
      row.set(values[k]);
    });
    const text = summaryOf(heading, values, stops);
    if (summary.textContent !== text) summary.textContent = text;
  };
  const className = "control sliders";
  return { node: element("details", { className }, summary, all), set };
}

function choice(spec, id, moved) {
  const { node, set } = choices("radio", spec, id, ([option]) => moved(option));
  return { node, set: (value) => set([value]) };
}

// A field for text. What is wrong with the text stands below it, and is read with it.
function text(spec, id, moved) {
  const tag = spec.lines > 1 ? "textarea" : "input";
  const { placeholder, most: maxLength } = spec;
  const input = element(tag, { id, placeholder, maxLength, spellcheck: false });
  if (spec.lines > 1) input.rows = spec.lines;
  input.autocomplete = "off";
  input.classList.toggle("monospace", spec.monospace);
  const wrong = element("p", { className: "fault", id: `${id}-fault` });
  input.setAttribute("aria-describedby", wrong.id);
  input.addEventListener("input", () => moved(input.value));
  const set = (value) => {
    // To set the same again would move the cursor to the end.
    if (input.value !== value) input.value = value;
  };
  const setFault = (fault) => {
    wrong.textContent = fault;
    input.setAttribute("aria-invalid", fault !== "");
  };
  return { node: inRow("text", label(id, spec.label), input, wrong), set, setFault };
}

export const CONTROLS = {
  range: (spec, id, moved) => slider(rangeScale(spec), spec, id, moved),
  stops: (spec, id, moved) => slider(stopsScale(spec), spec, id, moved),
  ticks: (spec, id, moved) => choices("checkbox", spec, id, moved),
  check,
  menu,
  choice,
  sliders,
  text,
};
