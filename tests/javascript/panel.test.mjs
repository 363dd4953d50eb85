import assert from "node:assert/strict";
import { test } from "node:test";
import { load, PANEL } from "./load.mjs";

const panel = await load(PANEL);
const specs = [{ name: "bits" }, { name: "scheme" }, { name: "left_out" }, { name: "on" }];

test("anywidget finds render in the default, and no deprecated export of that name", () => {
  assert.equal(typeof panel.default.render, "function");
  assert.equal(panel.render, undefined);
});

test("a picture's key is what Python writes: compact, in the order of the controls", () => {
  const values = { on: true, left_out: ["é", "b"], scheme: 'a "b"', bits: -25 };
  const key = String.raw`[-25,"a \"b\"",["é","b"],true]`;
  assert.equal(panel.keyOf(specs, values), key);
});

test("a picture drawn ahead is shown; otherwise the newest that Python has drawn", () => {
  assert.equal(panel.frameFor("[2]", { "[2]": "ahead" }, "newest"), "ahead");
  assert.equal(panel.frameFor("[3]", { "[2]": "ahead" }, "newest"), "newest");
});

test("a picture is a text, or the numbers of lines that pictures share", () => {
  const lines = ["<svg>", "<a/>", "<b/>", "</svg>"];
  assert.equal(panel.svgOf({ svg: [0, 2, 3] }, lines), "<svg>\n<b/>\n</svg>");
  assert.equal(panel.svgOf({ svg: "<svg/>" }, lines), "<svg/>");
});

test("a slider over whole numbers stands on its values, and shows them with decimals", () => {
  const scale = panel.rangeScale({ low: -225, high: 225, step: 25, decimals: 2 });
  assert.deepEqual(scale.limits, { min: -225, max: 225, step: 25 });
  assert.equal(scale.valueAt("-75"), -75);
  assert.equal(scale.positionOf(-75), -75);
  assert.equal(scale.textOf(-75), "-0.75");
  assert.equal(panel.rangeScale({ decimals: 0 }).textOf(8), "8");
});

test("a slider over stops moves over their numbers", () => {
  const scale = panel.stopsScale({ options: [2, 3, 4, 8, 32] });
  assert.deepEqual(scale.limits, { min: 0, max: 4, step: 1 });
  assert.equal(scale.valueAt("3"), 8);
  assert.equal(scale.positionOf(8), 3);
  assert.equal(scale.textOf(8), "8");
});

test("an address is relative to the folder of notebooks", () => {
  assert.equal(panel.addressOf("notebooks/02_x.ipynb"), "02_x.ipynb");
  assert.equal(panel.addressOf("TEACHING.md"), "../TEACHING.md");
});

// held_panels.js, after panel.js in one module, as handouts/panels.py joins them.

globalThis.document = { querySelectorAll: () => [] };
const held = await load(
  [...PANEL, "handouts/held_panels.js"],
  "export { makeModel, render as called };",
);

test("panel.js has the render that held_panels.js calls", () => {
  assert.equal(held.called, held.default.render);
  const state = { querySelector: () => ({ textContent: "{}" }), replaceChildren() {} };
  globalThis.document.querySelectorAll = (places) => {
    assert.equal(places, '.sls-held[data-kind="panel"]');
    return [state];
  };
  // It is called, and finds that this state has no controls.
  assert.throws(() => held.hold("panel"), /'map'/);
});

test("the stand-in for a widget's model tells those who listen, until they leave", () => {
  const model = held.makeModel({ values: { bits: 2 } });
  const heard = [];
  const show = () => heard.push(model.get("values").bits);
  model.on("change:values", show);
  model.set("values", { bits: 3 });
  model.off("change:values", show);
  model.set("values", { bits: 4 });
  assert.deepEqual(heard, [3]);
  assert.deepEqual(model.get("values"), { bits: 4 });
});
