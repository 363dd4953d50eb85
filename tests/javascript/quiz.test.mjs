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
