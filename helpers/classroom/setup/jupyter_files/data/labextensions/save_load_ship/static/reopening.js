// A plugin of JupyterLab and Jupyter Notebook: in a notebook of the course that was opened
// again, no "Error displaying widget" stays. Written as JupyterLab's build would make it.
//
// ipywidgets sometimes says that it has restored all widgets while their state is still
// being read from the file (two of its restoreWidgets run at once), and gives up those that
// wait. Shown again, they are there. What has no state at all gives way to its picture.

const VIEW = "application/vnd.jupyter.widget-view+json";
const STATE = "application/vnd.jupyter.widget-state+json";
const LOOK = 500; // milliseconds
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
      outputs.set(k, last ? { ...output, data: others } : output);
    });
  }
}

const plugin = {
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

window._JUPYTERLAB = window._JUPYTERLAB ?? {};
window._JUPYTERLAB.save_load_ship = {
  init: () => {},
  get: () => () => ({ __esModule: true, default: plugin }),
};
