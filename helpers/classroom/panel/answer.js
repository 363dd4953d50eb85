// What Python has drawn: the result in a sentence, the picture, and the details.

// In JupyterLab a click opens the notebook as a tab; elsewhere the address serves, which
// is relative to the folder of notebooks.
export const addressOf = (path) =>
  path.startsWith("notebooks/") ? path.slice("notebooks/".length) : `../${path}`;

// Pictures drawn ahead share their lines, and are sent as the lines' numbers.
export const svgOf = (frame, lines) =>
  frame.svg.startsWith("<")
    ? frame.svg
    : frame.svg
        .split(" ")
        .map((k) => lines[k])
        .join("\n");

export const longest = (texts) =>
  texts.reduce((most, text) => (text.length > most.length ? text : most), "");

function makeLink([textContent, path]) {
  const link = element("a", { textContent, href: addressOf(path) });
  const factory = path.endsWith(".md") ? "Markdown Preview" : "default";
  link.dataset.commandlinkerCommand = "docmanager:open";
  link.dataset.commandlinkerArgs = JSON.stringify({ path, factory });
  return link;
}

// A long name may break behind a dot or an underscore.
const LONG = /\S{28}/;

export const pieces = (text) => (LONG.test(text) ? text.split(/(?<=[._])/) : [text]);

function makeCell(tag, [text, colour]) {
  if (colour) {
    const label = element("b", { className: "label", textContent: text });
    label.style.background = colour;
    return element(tag, {}, label);
  }
  const [first, ...others] = pieces(text);
  return element(tag, {}, first, ...others.flatMap((part) => [element("wbr"), part]));
}

// Rows that the browser lays out together, where they come into view: many are quick.
const CHUNK = 25;

export const chunksOf = (rows) =>
  Array.from({ length: Math.ceil(rows.length / CHUNK) }, (_, k) =>
    rows.slice(k * CHUNK, (k + 1) * CHUNK),
  );

const hasLabels = (rows) => rows.some((row) => row.some(Array.isArray));

function withRole(node, role) {
  node.setAttribute("role", role); // a table in a grid's style would lose its own
  return node;
}

function makeTable([headings, ...rows]) {
  const row = (tag, role, cells) => {
    const made = cells.map((cell) => withRole(makeCell(tag, [cell].flat()), role));
    return withRole(element("tr", {}, ...made), "row");
  };
  const group = (tag, ...made) => withRole(element(tag, {}, ...made), "rowgroup");
  const head = group("thead", row("th", "columnheader", headings));
  const bodies = chunksOf(rows).map((some) =>
    group("tbody", ...some.map((cells) => row("td", "cell", cells))),
  );
  return withRole(element("table", {}, head, ...bodies), "table");
}

// Text that keeps the room of the longest so far, so that what is below never jumps.
export function makeSteady(tag, className, more = " mmmm") {
  const text = element("span");
  const node = element(tag, { className: `${className} steady` }, text);
  let room = "";
  const reserve = (other) => {
    if (other.length <= room.length) return;
    room = other;
    // As many letters can take one line more, so a few are added.
    node.dataset.room = other + more;
  };
  const say = (words) => {
    reserve(words);
    if (text.textContent !== words) text.textContent = words;
  };
  return { node, say, reserve };
}

function makeDetails(title, ...nodes) {
  const summary = element("summary", { textContent: title });
  return element("details", {}, summary, ...nodes);
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

function makeCode(name) {
  const code = element("pre", { className: "code", tabIndex: 0 }); // a long one scrolls
  code.setAttribute("aria-label", name);
  code.setAttribute("role", "group");
  return code;
}

// Answers in words. What a learner has pasted comes back in them, as text and never as markup.
function makeItem({ says, meaning, code, link }) {
  const item = element("li", {}, element("strong", { textContent: says }));
  item.append(element("p", { textContent: meaning }));
  if (code) {
    const lines = makeCode(`Code for: ${says}`);
    lines.textContent = code;
    item.append(lines, makeCopy(lines));
  }
  const [textContent, path] = link;
  if (textContent) item.append(path ? makeLink(link) : element("span", { textContent }));
  return item;
}

// A long text waits in the details; the brief one is shown, and read out at each move.
// `words` is the class of the whole text, wherever it stands.
function makeWords() {
  const result = makeSteady("p", "result");
  const whole = makeSteady("p", "whole");
  const details = makeDetails("In words", whole.node);
  result.node.setAttribute("aria-live", "polite");
  details.hidden = true;
  const say = (text, brief = "") => {
    result.say(brief || text);
    whole.say(brief && text);
    if (brief) details.hidden = false;
    details.classList.toggle("empty", !brief); // it keeps its room
    result.node.classList.toggle("words", !brief);
    whole.node.classList.toggle("words", Boolean(brief));
  };
  const reserve = (frames, more) => {
    result.reserve(more + longest(frames.map(({ brief, text }) => brief || text)));
    whole.reserve(more + longest(frames.map(({ brief, text }) => (brief ? text : ""))));
  };
  return { result: result.node, details, say, reserve };
}

// Where a panel must fit one screen, the code waits.
function makeKept(isOpen) {
  const table = element("div", { className: "table" });
  const code = makeCode("The same in code");
  const details = makeDetails("As code", code, makeCopy(code));
  details.open = isOpen;
  const node = element("div", { className: "kept" }, table, details);
  const show = (rows = [], lines = "") => {
    const scrolls = hasLabels(rows);
    table.replaceChildren(...(rows.length ? [makeTable(rows)] : []));
    table.classList.toggle("scrolls", scrolls);
    table.hidden = !rows.length;
    if (scrolls) {
      table.tabIndex = 0;
      table.setAttribute("aria-label", rows[0].join(", "));
      table.setAttribute("role", "region");
    }
    code.textContent = lines;
    details.hidden = !lines;
  };
  return { node, show };
}

export function makeAnswer(isWide) {
  const picture = element("div", { className: "picture" });
  const items = element("ol", { className: "items" });
  const links = element("p", { className: "links" });
  const { result, details, say, reserve } = makeWords();
  const kept = makeKept(!isWide);
  const view = makeView(picture);
  items.setAttribute("aria-live", "polite");
  picture.setAttribute("aria-hidden", "true"); // the words say the same
  const show = (frame, lines) => {
    const svg = svgOf(frame, lines);
    picture.innerHTML = svg;
    view.fit(svg);
    if (frame.isCovered) {
      for (const part of picture.querySelectorAll(".covered")) part.remove();
    }
    say(frame.text, frame.brief);
    items.replaceChildren(...(frame.items ?? []).map(makeItem));
    links.replaceChildren(...(frame.links ?? []).map(makeLink));
    kept.show(frame.table, frame.code);
  };
  const parts = [result, picture, items, details, kept.node];
  const setBusy = (busy) => {
    for (const part of parts) {
      if (busy) part.setAttribute("aria-busy", "true");
      else part.removeAttribute("aria-busy");
    }
  };
  const nodes = [result, view.node, items, links, details];
  const results = element("div", { className: "results" }, ...nodes);
  return { results, kept: kept.node, picture, show, setBusy, reserve };
}
