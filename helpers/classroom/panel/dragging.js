// A value that is dragged on the picture itself. Python marks the place in the picture
// (charts/handles.py). Over it lies a slider of our own: the picture is hidden from
// screen readers and drawn anew at each move, and neither must end a drag or the focus.

// A share of the way from the first to the last value -> the nearest position.
export function nearest({ min, max, step }, share) {
  const steps = Math.round((share * (max - min)) / step);
  return Math.min(max, Math.max(min, min + steps * step));
}

// The keys of a native slider; undefined for any other.
export function afterKey(key, position, { min, max, step }) {
  const far = step * Math.max(1, Math.round((max - min) / step / 10));
  const ways = { ArrowRight: step, ArrowUp: step, ArrowLeft: -step, ArrowDown: -step };
  const moves = { ...ways, PageUp: far, PageDown: -far, Home: min - max, End: max - min };
  if (!Object.hasOwn(moves, key)) return undefined;
  return Math.min(max, Math.max(min, position + moves[key]));
}

const scaleOf = (spec) => (spec.kind === "stops" ? stopsScale : rangeScale)(spec);

function makeHandle(spec, moved) {
  const scale = scaleOf(spec);
  const grip = element("span", { className: "grip" });
  const node = element("div", { className: "handle", tabIndex: 0 }, grip);
  node.setAttribute("role", "slider");
  node.setAttribute("aria-label", `${spec.label}, on the picture`);
  node.setAttribute("aria-valuemin", scale.limits.min);
  node.setAttribute("aria-valuemax", scale.limits.max);
  const handle = { node, grip, scale };
  follow(handle, (position) => moved(scale.valueAt(position)));
  return handle;
}

function follow(handle, go) {
  const { node, scale } = handle;
  const drag = (event) => {
    const box = node.getBoundingClientRect();
    const { x, width, start, end } = handle.place;
    const to = x + ((event.clientX - box.left) / box.width) * width;
    go(nearest(scale.limits, (to - start) / (end - start)));
  };
  node.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    node.setPointerCapture(event.pointerId);
    drag(event);
  });
  node.addEventListener("pointermove", (event) => {
    if (node.hasPointerCapture(event.pointerId)) drag(event);
  });
  node.addEventListener("keydown", (event) => {
    const next = afterKey(event.key, nearest(scale.limits, handle.share), scale.limits);
    if (next === undefined) return;
    event.preventDefault(); // the page would scroll
    go(next);
  });
}

function spotOf(mark) {
  const { x, y, width, height } = Object.fromEntries(
    [...mark.attributes].map(({ name, value }) => [name, Number(value)]),
  );
  const { start, end, grip, at } = mark.dataset;
  const along = { start: Number(start), end: Number(end), at: Number(at) };
  return { x, y, width, height, grip: Number(grip), ...along };
}

const NEAREST = { block: "nearest", inline: "nearest" };

const percent = (part, whole) => `${(100 * part) / whole}%`;

// Lays a handle over its mark, with the grip at a share of the way from start to end.
function stand(handle, mark, share) {
  const { node, grip, scale } = handle;
  const { min, max } = scale.limits;
  const sheet = mark.ownerSVGElement.viewBox.baseVal;
  const place = spotOf(mark);
  Object.assign(handle, { place, share });
  node.setAttribute("aria-valuenow", min + share * (max - min));
  const value = scale.valueAt(nearest(scale.limits, share));
  node.setAttribute("aria-valuetext", scale.textOf(value));
  Object.assign(node.style, {
    left: percent(place.x, sheet.width),
    top: percent(place.y, sheet.height),
    width: percent(place.width, sheet.width),
    height: percent(place.height, sheet.height),
  });
  const x = place.start + share * (place.end - place.start);
  grip.style.left = percent(x - place.x, place.width);
  grip.style.top = percent(place.grip - place.y, place.height);
  // Where the picture scrolls, keys would lose sight of it.
  if (node === document.activeElement) grip.scrollIntoView(NEAREST);
}

function shareOf({ scale }, mark, value, current) {
  const { min, max } = scale.limits;
  const { start, end, at } = spotOf(mark);
  // Where Python has chosen the value, the picture knows it, if it is not an old one.
  if (current && "at" in mark.dataset) return (at - start) / (end - start);
  return (scale.positionOf(value) - min) / (max - min);
}

// Returns what is to be called after each picture: it lays the handles over their marks.
export function makeHandles(picture, specs, moved) {
  const layer = element("div", { className: "handles" });
  const handles = {};
  return (values, current) => {
    const marks = [...picture.querySelectorAll("[data-control]")];
    if (marks.length && !layer.isConnected) {
      const stage = element("div", { className: "stage" });
      picture.replaceWith(stage);
      stage.append(picture, layer);
    }
    for (const [name, { node }] of Object.entries(handles)) {
      // Not even for a moment otherwise: what is hidden loses the focus.
      node.hidden = !marks.some((mark) => mark.dataset.control === name);
    }
    for (const mark of marks) {
      const name = mark.dataset.control;
      if (!handles[name]) {
        const spec = specs.find((some) => some.name === name);
        handles[name] = makeHandle(spec, (value) => moved(spec, value));
        layer.append(handles[name].node);
      }
      const sheet = mark.ownerSVGElement.viewBox.baseVal;
      layer.style.aspectRatio = `${sheet.width} / ${sheet.height}`;
      stand(handles[name], mark, shareOf(handles[name], mark, values[name], current));
    }
  };
}
