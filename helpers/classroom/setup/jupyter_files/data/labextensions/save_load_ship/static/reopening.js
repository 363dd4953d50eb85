// Two plugins of JupyterLab and Jupyter Notebook, written as JupyterLab's build would make
// them. The first: in a notebook of the course that was opened again, no "Error displaying
// widget" stays. The second: keys that are pressed in a panel belong to the panel.
//
// ipywidgets sometimes says that it has restored all widgets while their state is still
// being read from the file (two of its restoreWidgets run at once), and gives up those that
// wait. Shown again, they are there. What has no state at all gives way to its picture.

const VIEW = "application/vnd.jupyter.widget-view+json";
const STATE = "application/vnd.jupyter.widget-state+json";
const LOOK = 500; // milliseconds
const NAME_AND_WORDS = /^(?:Panel\()?(.*?)(?:\): |\. )(.*)$/s;
const PATIENCE = 20; // looks; on a busy machine the state needs seconds

const isBroken = (shown) =>
  [...shown.node.querySelectorAll(".jp-OutputArea-output")].some((node) =>
    node.firstChild?.nodeValue?.startsWith("Error displaying widget"),
  );

const isOfTheCourse = (notebook) =>
  [...notebook.model.cells].some(
    (cell) =>
      cell.type === "code" && cell.sharedModel.getSource().includes("helpers.classroom"),
  );

const escaped = (text) => text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);

// As in reopening.py: the picture with its words, in place of one that has none.
function withWords(data) {
  const [svg, text] = ["image/svg+xml", "text/plain"].map((form) =>
    [data[form] ?? []].flat().join(""),
  );
  if (!svg || !text || data["text/html"]) return data;
  const [, name, words] = text.match(NAME_AND_WORDS) ?? [text, "", text];
  const html =
    `<figure class="sls-still"><img alt="${escaped(name)}" ` +
    `src="data:image/svg+xml,${encodeURIComponent(svg)}">` +
    `<figcaption>${escaped(words)}</figcaption></figure>`;
  return { ...data, "text/html": html };
}

function mend(notebook, looks) {
  for (const cell of notebook.widgets) {
    cell.outputArea?.widgets.forEach((shown, k) => {
      if (!isBroken(shown) || !isOfTheCourse(notebook)) return;
      const outputs = cell.outputArea.model;
      const output = outputs.get(k).toJSON();
      const { [VIEW]: view, ...others } = output.data;
      const saved = notebook.model.getMetadata("widgets")?.[STATE].state ?? {};
      const limit = view.model_id in saved ? PATIENCE : 2;
      const look = (looks.get(view.model_id) ?? 0) + 1;
      looks.set(view.model_id, look);
      if (look > limit) return;
      const last = look === limit && Object.keys(others).length > 0;
      outputs.set(k, last ? { ...output, data: withWords(others) } : output);
    });
  }
}

const reopening = {
  id: "save_load_ship:reopening",
  autoStart: true,
  activate: (app) => {
    app.docRegistry.addWidgetExtension("Notebook", {
      createNew: (panel) => {
        const looks = new Map();
        const look = () => panel.content?.model && mend(panel.content, looks);
        const timer = setInterval(look, LOOK);
        panel.disposed.connect(() => clearInterval(timer));
      },
    });
  },
};

// Jupyter Notebook 7 takes keys for its shortcuts before a panel can stop them, unlike
// JupyterLab: arrows would move to another cell. Only an attribute keeps it from that, and
// only where the focus is. With Ctrl or Meta, shortcuts are meant.
function keepKeys(event) {
  if (!event.target.closest(".sls-panel, .sls-quiz, .sls-pad")) return;
  const isOurs = !event.ctrlKey && !event.metaKey;
  event.target.toggleAttribute("data-lm-suppress-shortcuts", isOurs);
}

const keys = {
  id: "save_load_ship:keys",
  autoStart: true,
  activate: () => window.addEventListener("keydown", keepKeys, { capture: true }),
};

window._JUPYTERLAB = window._JUPYTERLAB ?? {};
window._JUPYTERLAB.save_load_ship = {
  init: () => {},
  get: () => () => ({ __esModule: true, default: [reopening, keys] }),
};
