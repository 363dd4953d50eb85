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
  const held = { "[2]": "ahead" };
  const [older, own] = [{ key: "[2]" }, { key: "[3]" }];
  const at = (key, newest) => Object.values(panel.frameFor(key, held, newest));
  assert.deepEqual(at("[2]", {}), ["ahead", false]);
  assert.deepEqual(at("[3]", older), [older, true]);
  assert.deepEqual(at("[3]", own), [own, false]);
});

test("a picture is a text, or the numbers of lines that pictures share", () => {
  const lines = ["<svg>", "<a/>", "<b/>", "</svg>"];
  assert.equal(panel.svgOf({ svg: "0 2 3" }, lines), "<svg>\n<b/>\n</svg>");
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

test("under a slider stand its stops, or the ends of a long one", () => {
  const stops = panel.marksOf(panel.stopsScale({ options: [2, 8, 32] }));
  assert.deepEqual(stops, [
    { at: 0, text: "2" },
    { at: 0.5, text: "8" },
    { at: 1, text: "32" },
  ]);
  const bits = panel.rangeScale({ low: 2, high: 8, step: 2, decimals: 0 });
  assert.deepEqual(
    panel.marksOf(bits).map(({ text }) => text),
    ["2", "4", "6", "8"],
  );
  const long = panel.rangeScale({ low: -225, high: 225, step: 25, decimals: 2 });
  assert.deepEqual(panel.marksOf(long), [
    { at: 0, text: "-2.25" },
    { at: 1, text: "2.25" },
  ]);
});

test("a mark gives way to the value when they would touch", () => {
  const mark = { at: 0, text: "-2.25" };
  assert.ok(panel.isUnder(mark, 0.1, "-1.75"));
  assert.ok(!panel.isUnder(mark, 0.5, "0.00"));
  assert.ok(!panel.isUnder({ at: 0.125, text: "3" }, 0, "2"));
});

test("a fold says how many of its sliders have left their first stop", () => {
  const said = (...values) => panel.summaryOf("Bits", values, [0, 2, 8]);
  assert.equal(said(0, 0), "Bits");
  assert.equal(said(2, 0, 8), "Bits: 2 set");
});

test("neighbours of one group share a heading", () => {
  const some = [{}, { group: "a" }, { group: "a" }, { group: "b" }, { group: "a" }];
  assert.deepEqual(panel.groupsOf(some), [
    { heading: "", members: [0] },
    { heading: "a", members: [1, 2] },
    { heading: "b", members: [3] },
    { heading: "a", members: [4] },
  ]);
});

test("room is kept for the longest of the texts", () => {
  assert.equal(panel.longest(["ab", "abcd", "abc"]), "abcd");
  assert.equal(panel.longest([]), "");
});

test("only a long name may break, behind its dots and underscores", () => {
  const name = "a_module.with_a_long_name.weight";
  assert.deepEqual(panel.pieces("98.5 of a_b"), ["98.5 of a_b"]);
  assert.deepEqual(panel.pieces(`${name} (8, 8)`), [
    "a_",
    "module.",
    "with_",
    "a_",
    "long_",
    "name.",
    "weight (8, 8)",
  ]);
});

test("many rows are laid out a few at a time, each once and in order", () => {
  const rows = Array.from({ length: 60 }, (_, k) => k);
  const chunks = panel.chunksOf(rows);
  assert.deepEqual(
    chunks.map((some) => some.length),
    [25, 25, 10],
  );
  assert.deepEqual(chunks.flat(), rows);
  assert.deepEqual(panel.chunksOf([]), []);
});

// Whether Python answers.

test("what the kernel does is known in JupyterLab, and not elsewhere", () => {
  assert.equal(panel.statusOf({}), undefined);
  assert.equal(panel.statusOf({ widget_manager: {} }), undefined);
  assert.equal(panel.statusOf({ widget_manager: { kernel: null } }), "none");
  assert.equal(panel.statusOf({ widget_manager: { kernel: { status: "busy" } } }), "busy");
});

test("a late answer is explained by what the kernel does", () => {
  const sentence = (...found) => panel.sentenceFor(...found, true);
  assert.match(sentence("idle", 900, 3), /does not answer\. Run the cells above/);
  assert.equal(sentence("idle", 5000, 2), ""); // between two cells
  assert.match(sentence("busy", 800, 0), /busy with another cell/);
  assert.match(sentence("working", 800, 0), /at work on this/);
  assert.match(sentence(undefined, 800, 0), /busy.*otherwise run the cells above/);
  for (const status of ["busy", "working", undefined]) {
    assert.equal(sentence(status, 700, 0), "");
    assert.ok(panel.passes(sentence(status, 900, 0)));
  }
  assert.ok(!panel.passes(sentence("idle", 900, 3)) && !panel.passes(""));
  // After a restart the kernel may be busy, and never answer.
  assert.match(panel.sentenceFor("busy", 800, 0, false), /otherwise run the cells above/);
});

function makeContact({ send, status = "idle" }) {
  const said = [];
  const marks = [];
  const kernel = { status };
  const model = { send, get: () => ({ n: 1 }), widget_manager: { kernel } };
  const say = (words) => said.push(words);
  const contact = new panel.Contact(model, { say, setBusy: (is) => marks.push(is) });
  return { contact, said, marks, kernel };
}

// Stops the clock; returns a function that lets some looks go by.
function looking(t) {
  let now = 0;
  t.mock.timers.enable({ apis: ["setTimeout"] });
  t.mock.method(performance, "now", () => now);
  return (looks) => {
    for (let k = 0; k < looks; k += 1) {
      now += 300;
      t.mock.timers.tick(300);
    }
  };
}

test("a press that finds the way closed says so at once", () => {
  const send = () => {
    throw new Error("Cannot send");
  };
  const { contact, said, marks } = makeContact({ send });
  contact.press("Count");
  assert.match(said.at(-1), /does not answer/);
  assert.equal(marks.at(-1), false);
  contact.stop();
});

test("from a press to its answer the panel is busy, and then says what went wrong", () => {
  let sent;
  const { contact, said, marks } = makeContact({
    send: (message) => {
      sent = message;
    },
  });
  contact.press("Count");
  assert.deepEqual({ ...sent, asks: "" }, { pressed: "Count", values: { n: 1 }, asks: "" });
  assert.equal(marks.at(-1), true);
  contact.hear({ answered: "another" });
  assert.equal(marks.at(-1), true);
  contact.hear({ answered: sent.asks, failed: "ValueError: no" });
  assert.equal(marks.at(-1), false);
  assert.equal(said.at(-1), "The button did not work. ValueError: no");
  contact.stop();
});

test("without an answer, looks at an idle kernel end in a sentence; it goes with one", (t) => {
  const look = looking(t);
  const { contact, said, kernel } = makeContact({ send() {}, status: "busy" });
  contact.ask();
  look(10);
  assert.deepEqual(said, []); // nobody has touched anything
  kernel.status = "idle";
  look(3);
  assert.match(said.at(-1), /does not answer/);
  contact.hear({ answered: "this" });
  assert.equal(said.at(-1), "");
  contact.stop();
});

test("within a second it is said that Python does not answer, or is busy", (t) => {
  const look = looking(t);
  for (const [status, said_] of [
    ["idle", /does not answer/],
    ["busy", /has not answered yet/],
  ]) {
    const { contact, said } = makeContact({ send() {}, status });
    contact.press("Count");
    look(3);
    assert.match(said.at(-1), said_);
    contact.stop();
  }
});

test("what was lost stays lost until Python is heard, whatever the kernel does", (t) => {
  const look = looking(t);
  const { contact, said, kernel } = makeContact({ send() {} });
  contact.press("Count");
  look(9);
  kernel.status = "busy"; // with another cell, after a restart
  look(9);
  assert.match(said.at(-1), /does not answer/);
  contact.heard();
  assert.equal(said.at(-1), "");
  contact.stop();
});

test("each picture that comes begins the wait for the next", (t) => {
  const look = looking(t);
  const { contact, said } = makeContact({ send() {}, status: "busy" });
  contact.setBehind(true);
  for (let k = 0; k < 9; k += 1) {
    look(1);
    if (k % 2) contact.heard();
  }
  assert.deepEqual(said, []);
  contact.stop();
});

test("a kernel that is called idle is no lost one while it works on a press", (t) => {
  const look = looking(t);
  let callbacks;
  const { contact, said } = makeContact({
    send: (_message, given) => {
      callbacks = given;
    },
  });
  const tell = (state) => callbacks.iopub.status({ content: { execution_state: state } });
  contact.press("Slow");
  tell("busy"); // and then a cell ends
  look(3);
  assert.deepEqual(said, ["Python is at work on this; the answer will come."]);
  tell("idle");
  look(3);
  assert.match(said.at(-1), /does not answer/);
  contact.stop();
});

test("a kernel that dies at work is lost", () => {
  const { contact, kernel } = makeContact({ send() {} });
  contact.callbacks.iopub.status({ content: { execution_state: "busy" } });
  assert.equal(contact.status(), "working");
  kernel.status = "restarting";
  assert.equal(contact.status(), "restarting");
  kernel.status = "idle";
  assert.equal(contact.status(), "idle");
});

test("what the front end wants to hear of a message, it hears still", () => {
  const { contact } = makeContact({ send() {} });
  const output = () => {};
  contact.model.widget_manager.callbacks = () => ({ shell: 1, iopub: { output } });
  const { shell, iopub } = contact.callbacks;
  assert.deepEqual([shell, iopub.output], [1, output]);
});

// Guess first, then see.

const asked = {
  question: "How many?",
  truth: 3,
  before: "Guess.",
  along: "x",
  values: [1, 100],
  places: [50, 250],
  across: [20, 120],
};
const frame = { text: "Three.", brief: "3", table: [["a"]], code: "x = 3", guess: asked };
const say = (value) => `${value}×`;

test("before the guess nothing is shown that gives it away", () => {
  const seen = panel.visible(frame, {}, say);
  assert.equal(seen.isCovered, true);
  assert.deepEqual([seen.text, seen.brief, seen.table, seen.code], ["Guess.", "", [], ""]);
  assert.equal(panel.visible({ text: "open" }, {}, say).text, "open");
});

test("pictures drawn ahead name their question by the number of a line", () => {
  assert.deepEqual(panel.askedOf({ guess: 1 }, ["<svg>", JSON.stringify(asked)]), asked);
  assert.equal(panel.askedOf({ guess: asked }, []), asked);
  assert.equal(panel.askedOf({}, []), undefined);
});

test("after it, the words begin with guess and truth, where that was the question", () => {
  const seen = panel.visible(frame, { value: 2, question: "How many?" }, say);
  assert.equal(seen.text, "You said 2×, it is 3×. Three.");
  assert.equal(seen.brief, "You said 2×, it is 3×. 3");
  assert.ok(!seen.isCovered);
  const other = panel.visible(frame, { value: 2, question: "How large?" }, say);
  assert.equal(other.text, "Three.");
});

test("a guess stands on the axis, at its ends where it lies beyond them", () => {
  assert.equal(panel.placeOf(asked, 1), 50);
  assert.equal(panel.placeOf(asked, 50.5), 150);
  assert.equal(panel.placeOf(asked, 1000), 250);
  assert.ok(Math.abs(panel.placeOf({ ...asked, log: true }, 10) - 150) < 1e-9);
  assert.equal(panel.written("{} times", 1, 2), "2.0 times");
  assert.equal(panel.written("1e{}", 0, -5), "1e-5");
});

test("the words at a guess may stand on both sides of its line, all along it", () => {
  const beside = panel.spots(asked, 150);
  assert.deepEqual(beside[0], [156, 31, "start"]);
  assert.deepEqual(beside[1], [144, 31, "end"]);
  const above = panel.spots({ ...asked, along: "y" }, 80);
  assert.deepEqual(above[0], [116, 74, "end"]);
  assert.ok(beside.length > 10 && above.length > 10);
  const box = { left: 0, right: 10, top: 0, bottom: 10 };
  assert.ok(panel.overlap(box, { ...box, left: 9, right: 20 }));
  assert.ok(!panel.overlap(box, { ...box, left: 10, right: 20 }));
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
  const state = {
    querySelector: () => ({ textContent: "{}" }),
    replaceChildren() {},
  };
  globalThis.document.querySelectorAll = (places) => {
    assert.equal(places, '.sls-held[data-kind="panel"]');
    return [state];
  };
  // It is called, and finds that this state has no frames.
  assert.throws(() => held.hold("panel"), /null to object/);
});

test("the stand-in for a widget's model tells those who listen, until they leave", () => {
  const model = held.makeModel({ values: { bits: 2 } });
  const heard = [];
  const show = () => heard.push(model.get("values").bits);
  model.on("change:values", show);
  model.on("msg:custom", () => assert.fail("there is nobody who sends a message"));
  model.set("values", { bits: 3 });
  model.off("change:values", show);
  model.set("values", { bits: 4 });
  assert.deepEqual(heard, [3]);
  assert.deepEqual(model.get("values"), { bits: 4 });
});

test("the smallest letters of a picture decide how far it may shrink", () => {
  const svg = '<text font-size="13">a</text><text font-size="9">b</text>';
  assert.equal(panel.smallestOf(svg), 9);
  assert.equal(panel.smallestOf("<svg></svg>"), Infinity);
});
