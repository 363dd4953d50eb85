import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const quiz = await load(["exercises/quiz.js"]);
const choices = [
  ["one", false, "It is two."],
  ["two", true, "Count them."],
  ["three", false, "It is less."],
];
const verdicts = (picked) => choices.map((_, k) => quiz.verdictOf(k, choices, picked));

test("anywidget finds render in the default, and no deprecated export of that name", () => {
  assert.equal(typeof quiz.default.render, "function");
  assert.equal(quiz.render, undefined);
});

test("before the right choice is found, only what was picked is explained", () => {
  assert.deepEqual(verdicts([]), ["", "", ""]);
  assert.deepEqual(verdicts([2]), ["", "", "→ You chose this: not quite."]);
});

test("after the right choice every one is explained, and what was picked stays marked", () => {
  const right = "✓ Right.";
  const not = "– Not this one.";
  assert.deepEqual(verdicts([1]), [not, right, not]);
  assert.deepEqual(verdicts([2, 1]), [not, right, "→ You chose this: not quite."]);
  assert.deepEqual(verdicts([1, 0])[0], "→ You chose this: not quite.");
});

test("what is announced is about the last pick", () => {
  assert.equal(quiz.saidOf(choices, []), "");
  assert.equal(quiz.saidOf(choices, [0]), "Not quite. It is two.");
  const right = "Right. Count them. Every choice is explained now.";
  assert.equal(quiz.saidOf(choices, [0, 1]), right);
  assert.equal(quiz.saidOf(choices, [1, 2]), "Not quite. It is less.");
});

// Whether Python keeps what was picked.

const NOT_KEPT = "Not kept: run the cells above and this one, then answer again.";

// Node's clock runs what is due, but not what that sets in turn.
function look(t, times) {
  for (let k = 0; k < times; k++) t.mock.timers.tick(500);
}

function ask(t, { send, kernel = { status: "idle" }, manager = { kernel } } = {}) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const note = { text: "" };
  const model = {
    send: (message) => {
      note.asks = message.asks;
      send?.();
    },
    widget_manager: manager,
  };
  const keeper = quiz.makeKeeper(model, (words) => {
    note.text = words;
  });
  keeper.ask();
  return { note, keeper, kernel };
}

test("without an answer, two looks at an idle kernel end in a sentence", (t) => {
  const { note, keeper } = ask(t);
  look(t, 1);
  assert.equal(note.text, "");
  look(t, 1);
  assert.equal(note.text, NOT_KEPT);
  keeper.hear({ answered: "another", fault: "" });
  assert.equal(note.text, NOT_KEPT);
  keeper.hear({ answered: note.asks, fault: "" }); // it was only slow
  assert.equal(note.text, "");
});

test("an answer in time ends the looks; what it says is shown", (t) => {
  const { note, keeper } = ask(t);
  keeper.hear({ answered: note.asks, fault: "" });
  look(t, 3);
  assert.equal(note.text, "");
  keeper.ask();
  keeper.hear({ answered: note.asks, fault: "It cannot be written." });
  look(t, 3);
  assert.equal(note.text, "It cannot be written.");
  keeper.ask();
  assert.equal(note.text, "");
  keeper.stop(); // as "Try again" does
  look(t, 3);
  assert.equal(note.text, "");
});

test("nothing is said to be lost while the kernel is busy", (t) => {
  const { note, kernel } = ask(t);
  for (const status of ["busy", "idle", "busy", "idle"]) {
    kernel.status = status;
    look(t, 1);
    assert.equal(note.text, "");
  }
  look(t, 1);
  assert.equal(note.text, NOT_KEPT);
});

test("no kernel, or a closed way to it, keeps nothing", (t) => {
  const { note } = ask(t, { manager: { kernel: null } });
  look(t, 2);
  assert.equal(note.text, NOT_KEPT);
  t.mock.timers.reset();
  const closed = () => {
    throw new Error("Cannot send");
  };
  assert.equal(ask(t, { send: closed }).note.text, NOT_KEPT);
});

test("where nobody can be asked, or the kernel cannot be seen, nothing is said", (t) => {
  const { note } = ask(t, { manager: {} });
  look(t, 3);
  assert.equal(note.text, "");
  const held = quiz.makeKeeper({}, () => assert.fail("a page of handouts says nothing"));
  held.ask();
  look(t, 3);
});
