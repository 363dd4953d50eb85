import assert from "node:assert/strict";
import { test } from "node:test";
import { load, PANEL } from "./load.mjs";

const { afterKey, nearest } = await load(PANEL);
const limits = { min: -225, max: 225, step: 25 };

test("a share of the way becomes the nearest position, and stays within the ends", () => {
  const found = [0, 0.5, 0.52, 0.53, 1, -3, 7].map((share) => nearest(limits, share));
  assert.deepEqual(found, [-225, 0, 0, 25, 225, -225, 225]);
  assert.equal(nearest({ min: 0, max: 3, step: 1 }, 0.5), 2);
});

test("keys move as in a native slider, and stop at the ends", () => {
  const after = (position, ...keys) => keys.map((key) => afterKey(key, position, limits));
  assert.deepEqual(
    after(0, "ArrowRight", "ArrowUp", "ArrowLeft", "ArrowDown"),
    [25, 25, -25, -25],
  );
  assert.deepEqual(after(50, "PageUp", "PageDown", "Home", "End"), [100, 0, -225, 225]);
  assert.deepEqual(after(225, "ArrowRight", "PageUp"), [225, 225]);
  assert.deepEqual(after(0, "Tab", "a", "toString"), [undefined, undefined, undefined]);
});

test("where there are few positions, a page is one of them", () => {
  assert.equal(afterKey("PageUp", 1, { min: 0, max: 3, step: 1 }), 2);
});
