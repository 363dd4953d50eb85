// A smoke pass in Firefox, through WebDriver BiDi: every panel draws and answers a key,
// the mouse drags a slider, a quiz and the drawing pad answer. firefox.py starts it:
//
//     node firefox.mjs PUPPETEER FIREFOX PLAN
//
// PLAN is JSON: the address of JupyterLab, the notebooks, and expressions that say when it
// is ready. It prints a line of JSON for each notebook: what was met, and what failed.

import { createRequire } from "node:module";

const [modules, executablePath, plan] = process.argv.slice(2);
const { url, notebooks, ready, finished, drawn, errors } = JSON.parse(plan);
const puppeteer = createRequire(`${modules}/`)("puppeteer-core");
const WIDGETS = ".sls-panel, .sls-quiz, .sls-pad";

const call = (text) => `(${text})()`;
const pause = (ms) => new Promise((over) => setTimeout(over, ms));

// puppeteer's own waiting looks from a sandbox, in which Firefox hides JupyterLab's names.
async function until(what, holds, seconds = 60) {
  for (const start = Date.now(); !(await holds()); await pause(100)) {
    if (Date.now() - start > 1000 * seconds) throw new Error(`${what}: not in ${seconds} s`);
  }
}

// To load JupyterLab takes Firefox longer than all else, so it is done once.
async function enter(page) {
  const [base, token] = url.split("?");
  await page.setViewport({ width: 1280, height: 900 });
  await page.goto(`${base.split("/lab")[0]}/lab?reset&${token}`);
  const loaded = () => window.jupyterapp?.commands.hasCommand("docmanager:open");
  await until("JupyterLab", () => page.evaluate(loaded));
  await page.evaluate(async () => {
    await window.jupyterapp.restored;
    window.jupyterapp.shell.collapseLeft();
  });
}

async function open(page, name) {
  await page.evaluate(async (path) => {
    const options = { path, factory: "Notebook" };
    await window.jupyterapp.commands.execute("docmanager:open", options);
  }, `notebooks/${name}`);
  await until("a kernel", () => page.evaluate(call(ready)));
  await page.evaluate(() => {
    window.jupyterapp.commands.execute("notebook:run-all-cells");
  });
  await until("all cells", () => page.evaluate(call(finished)), 300);
  await until("widgets", () => page.evaluate(call(drawn)));
}

async function close(page) {
  await page.evaluate(async () => {
    const notebook = window.jupyterapp.shell.currentWidget;
    await notebook.sessionContext.shutdown();
    notebook.dispose();
  });
}

// The numbers of the cells whose outputs are widgets, asked of the model: JupyterLab may
// not have drawn what is far from the window, and a cell that it has not would be missed.
const cellsWithWidgets = (page) =>
  page.evaluate(() =>
    [...window.jupyterapp.shell.currentWidget.content.widgets].flatMap((cell, k) => {
      const outputs = cell.model.type === "code" ? cell.model.outputs.toJSON() : [];
      const view = "application/vnd.jupyter.widget-view+json";
      return outputs.some((output) => output.data?.[view]) ? [k] : [];
    }),
  );

async function widgetsOf(page, index) {
  await page.evaluate(
    (k) => window.jupyterapp.shell.currentWidget.content.scrollToItem(k),
    index,
  );
  const selector = `.jp-Notebook [data-windowed-list-index='${index}']`;
  await until("the cell", () => page.$(selector), 20);
  const cell = await page.$(selector);
  const there = (node) =>
    node.querySelector(".jp-OutputArea-output .lm-Widget") &&
    !node.innerText.includes("Loading widget");
  await until("its widgets", () => cell.evaluate(there), 20);
  return cell.$$(WIDGETS);
}

// Do something, and wait until the panel's answer differs from the one before.
async function changes(panel, act) {
  const said = (node) =>
    [".result", ".picture", ".words", ".table", ".code"]
      .map((part) => node.querySelector(part)?.innerHTML)
      .join();
  const before = await panel.evaluate(said);
  await act();
  await until("another answer", async () => (await panel.evaluate(said)) !== before, 20);
}

async function usePanel(page, panel, done) {
  const reveal = await panel.$("button::-p-text(Show the answer)");
  if (reveal) await reveal.click();
  const shown = (node) =>
    Boolean(node.querySelector(".picture svg") || node.querySelector(".result").innerText);
  await until("a picture or words", () => panel.evaluate(shown), 20);
  done.panels += 1;
  if (!(await panel.$(".picture svg"))) return ask(panel, done);
  const control = await panel.$(
    ".sls-controls :is(input:not([type=radio]), select, textarea)",
  );
  if (control) {
    const kind = await control.evaluate((node) => node.type);
    const start = await control.evaluate((node) => node.value === node.min);
    const keys = { range: start ? "ArrowRight" : "ArrowLeft", checkbox: " ", textarea: "x" };
    await control.focus();
    await changes(panel, () => page.keyboard.press(keys[kind] ?? "ArrowDown"));
    done.keys += 1;
  }
  for (const what of [".sls-controls input[type=range]", ".handle"]) {
    const slider = await panel.$(what);
    if (!slider) continue;
    await changes(panel, () => drag(page, slider));
    done.drags += 1;
  }
}

// A panel without a picture answers when its button is pressed.
async function ask(panel, done) {
  const text = await panel.$("textarea");
  await changes(panel, async () => {
    await text.type("hello world");
    await (await panel.$(".buttons button")).click();
  });
  done.keys += 1;
}

async function drag(page, slider) {
  await slider.scrollIntoView();
  const box = await slider.boundingBox();
  const [x, y] = [box.x + 0.3 * box.width, box.y + box.height / 2];
  await page.mouse.move(x, y);
  await page.mouse.down();
  for (const share of [0.5, 0.7, 0.9]) await page.mouse.move(box.x + share * box.width, y);
  await page.mouse.up();
}

async function useQuiz(quiz, done) {
  await (await quiz.$("button")).click();
  const answered = (node) => /Right|not quite/.test(node.innerText);
  await until("an answer", () => quiz.evaluate(answered), 20);
  done.quizzes += 1;
}

async function usePad(page, pad, done) {
  const paper = await pad.$(".paper");
  await paper.scrollIntoView();
  const box = await paper.boundingBox();
  const at = (x, y) => [box.x + x * box.width, box.y + y * box.height];
  await page.mouse.move(...at(0.5, 0.1));
  await page.mouse.down();
  for (const y of [0.3, 0.5, 0.7, 0.9]) await page.mouse.move(...at(0.5, y));
  await page.mouse.up();
  const answered = (node) => node.innerText.includes("Both say");
  await until("both answers", () => pad.evaluate(answered));
  done.pads += 1;
}

async function use(page, widget, done) {
  const kind = await widget.evaluate((node) => node.className.split(" ")[0]);
  if (kind === "sls-quiz") return useQuiz(widget, done);
  if (kind === "sls-pad") return usePad(page, widget, done);
  return usePanel(page, widget, done);
}

async function pass(page, name) {
  const done = { panels: 0, keys: 0, drags: 0, quizzes: 0, pads: 0, failed: [] };
  await open(page, name);
  done.failed.push(...(await page.evaluate(call(errors))));
  for (const index of await cellsWithWidgets(page)) {
    for (const [k, widget] of (await widgetsOf(page, index)).entries()) {
      try {
        await use(page, widget, done);
      } catch (error) {
        done.failed.push(`cell ${index}, widget ${k}: ${error.message}`);
      }
    }
  }
  return done;
}

const browser = await puppeteer.launch({ browser: "firefox", executablePath, headless: true });
try {
  const page = await browser.newPage();
  await enter(page);
  for (const name of notebooks) {
    console.log(JSON.stringify({ name, ...(await pass(page, name)) }));
    await close(page);
  }
} finally {
  await browser.close();
}
