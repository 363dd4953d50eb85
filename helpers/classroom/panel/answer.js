// What Python has drawn: the result in a sentence, the picture, and the details.

// In JupyterLab a click opens the notebook as a tab; elsewhere the address serves, which
// is relative to the folder of notebooks.
export const addressOf = (path) =>
  path.startsWith("notebooks/") ? path.slice("notebooks/".length) : `../${path}`;

// Pictures drawn ahead share their lines, and are sent as the lines' numbers.
export const svgOf = (frame, lines) =>
  Array.isArray(frame.svg) ? frame.svg.map((k) => lines[k]).join("\n") : frame.svg;

export const longest = (texts) =>
  texts.reduce((most, text) => (text.length > most.length ? text : most), "");

function makeLink([textContent, path]) {
  const link = element("a", { textContent, href: addressOf(path) });
  const factory = path.endsWith(".md") ? "Markdown Preview" : "default";
  link.dataset.commandlinkerCommand = "docmanager:open";
  link.dataset.commandlinkerArgs = JSON.stringify({ path, factory });
  return link;
}

function makeTable([headings, ...rows]) {
  const row = (tag, texts) =>
    element("tr", {}, ...texts.map((textContent) => element(tag, { textContent })));
  const body = element("tbody", {}, ...rows.map((texts) => row("td", texts)));
  return element("table", {}, element("thead", {}, row("th", headings)), body);
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

function makeKept() {
  const table = element("div", { className: "table" });
  const code = element("pre", { className: "code", tabIndex: 0 }); // a long one scrolls
  const details = makeDetails("As code", code, makeCopy(code));
  code.setAttribute("aria-label", "The same in code");
  code.setAttribute("role", "region");
  const node = element("div", { className: "kept" }, table, details);
  const show = (frame) => {
    table.replaceChildren(...(frame.table.length ? [makeTable(frame.table)] : []));
    code.textContent = frame.code;
    details.hidden = !frame.code;
  };
  return { node, show };
}

export function makeAnswer() {
  const picture = element("div", { className: "picture" });
  const links = element("p", { className: "links" });
  const { result, details, say, reserve } = makeWords();
  const kept = makeKept();
  const view = makeView(picture);
  picture.setAttribute("aria-hidden", "true"); // the words say the same
  const show = (frame, lines) => {
    const svg = svgOf(frame, lines);
    picture.innerHTML = svg;
    view.fit(svg);
    if (frame.isCovered) {
      for (const part of picture.querySelectorAll(".covered")) part.remove();
    }
    say(frame.text, frame.brief);
    links.replaceChildren(...frame.links.map(makeLink));
    kept.show(frame);
  };
  const parts = [result, picture, details, kept.node];
  const setBusy = (busy) => {
    for (const part of parts) {
      if (busy) part.setAttribute("aria-busy", "true");
      else part.removeAttribute("aria-busy");
    }
  };
  const nodes = [result, view.node, links, details];
  const results = element("div", { className: "results" }, ...nodes);
  return { results, kept: kept.node, picture, show, setBusy, reserve };
}
