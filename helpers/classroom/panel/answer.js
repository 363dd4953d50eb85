// What Python has drawn, as it stands in the panel: picture, words, links, table, code.

// In JupyterLab a click opens the notebook as a tab; elsewhere the address serves, which
// is relative to the folder of notebooks.
export const addressOf = (path) =>
  path.startsWith("notebooks/") ? path.slice("notebooks/".length) : `../${path}`;

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

// Pictures drawn ahead share their lines, and are sent as the lines' numbers.
export const svgOf = (frame, lines) =>
  Array.isArray(frame.svg) ? frame.svg.map((k) => lines[k]).join("\n") : frame.svg;

// What Python has drawn: the picture and its words, and below them what can be kept.
export function makeAnswer() {
  const picture = element("div", { className: "picture" });
  const words = element("p", { className: "words" });
  const links = element("p", { className: "links" });
  const table = element("div", { className: "table" });
  const code = element("pre", { className: "code", tabIndex: 0 }); // a long one scrolls
  const copy = makeCopy(code);
  picture.setAttribute("aria-hidden", "true"); // the words say the same
  words.setAttribute("aria-live", "polite");
  code.setAttribute("aria-label", "The same in code");
  code.setAttribute("role", "region");
  const show = (frame, lines) => {
    picture.innerHTML = svgOf(frame, lines);
    words.textContent = frame.text;
    links.replaceChildren(...frame.links.map(makeLink));
    table.replaceChildren(...(frame.table.length ? [makeTable(frame.table)] : []));
    code.textContent = frame.code;
    code.hidden = copy.hidden = !frame.code;
  };
  const setBusy = (busy) => {
    if (busy) picture.setAttribute("aria-busy", "true");
    else picture.removeAttribute("aria-busy");
  };
  const results = element("div", { className: "results" }, picture, words, links);
  const kept = element("div", { className: "kept" }, table, code, copy);
  return { nodes: [results, kept], show, setBusy };
}
