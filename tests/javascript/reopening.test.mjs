import assert from "node:assert/strict";
import { test } from "node:test";
import { source } from "./load.mjs";

// JupyterLab runs the file as a script, not as a module.
const window = { addEventListener: (...all) => window.heard.push(all), heard: [] };
const path = "setup/jupyter_files/data/labextensions/save_load_ship/static/reopening.js";
const { withWords } = new Function("window", `${source(path)}; return { withWords };`)(
  window,
);
const [reopening, keys] = window._JUPYTERLAB.save_load_ship.get()().default;

test("JupyterLab finds two plugins that start by themselves", () => {
  assert.deepEqual(
    [reopening, keys].map(({ id, autoStart }) => [id, autoStart]),
    [
      ["save_load_ship:reopening", true],
      ["save_load_ship:keys", true],
    ],
  );
});

test("a picture in place of a widget has its words, as in reopening.py", () => {
  const data = {
    "image/svg+xml": ["<svg>", "#</svg>"],
    "text/plain": 'Panel(A & "B": n=0.5): 1 < 2. Then.',
  };
  assert.deepEqual(withWords(data), {
    ...data,
    "text/html":
      '<figure class="sls-still"><img alt="A &#38; &#34;B&#34;: n=0.5" ' +
      'src="data:image/svg+xml,%3Csvg%3E%23%3C%2Fsvg%3E">' +
      "<figcaption>1 &#60; 2. Then.</figcaption></figure>",
  });
  const words = { "text/plain": "Words" };
  assert.deepEqual(withWords(words), words);
  assert.match(withWords({ ...words, "image/svg+xml": "<svg/>" })["text/html"], /alt="" /);
  const own = { ...data, "text/html": "own" };
  assert.deepEqual(withWords(own), own);
});

// What the shortcuts of Jupyter Notebook see of a key.
function press(isInPanel, modifiers) {
  keys.activate();
  const [[name, listener, options]] = window.heard.splice(0);
  assert.deepEqual([name, options], ["keydown", { capture: true }]);
  let suppressed = "untouched";
  const target = {
    closest: (selector) => selector.includes(".sls-panel") && isInPanel,
    toggleAttribute: (attribute, isOn) => {
      suppressed = [attribute, isOn];
    },
  };
  listener({ target, ctrlKey: false, metaKey: false, ...modifiers });
  return suppressed;
}

test("keys in a panel are the panel's, those with Ctrl and those elsewhere are not", () => {
  const name = "data-lm-suppress-shortcuts";
  assert.deepEqual(press(true), [name, true]);
  assert.deepEqual(press(true, { ctrlKey: true }), [name, false]);
  assert.deepEqual(press(true, { metaKey: true }), [name, false]);
  assert.equal(press(false), "untouched");
});
