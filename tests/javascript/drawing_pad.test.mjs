import assert from "node:assert/strict";
import { test } from "node:test";
import { load, source } from "./load.mjs";

// As drawing_pad.py joins them.
const FILES = ["drawing_pad_strokes.js", "drawing_pad_answers.js", "drawing_pad.js"];
const pad = await load(FILES.map((name) => `explorers/${name}`));
const close = (found, expected, gap = 1e-9) =>
  assert.ok(Math.abs(found - expected) <= gap, `${found} is not ${expected}`);
const sum = (values) => values.reduce((one, other) => one + other, 0);
const middle = (image) =>
  [(k) => k % 8, (k) => Math.floor(k / 8)].map(
    (axis) => sum(image.map((ink, k) => ink * (axis(k) + 0.5))) / sum(image),
  );
// "0 0, 3 4" to [[0, 0], [3, 4]].
const points = (text) => text.split(", ").map((point) => point.split(" ").map(Number));
const bar = [points("0.5 0.1, 0.5 0.9")];
const hook = [points("0.2 0.1, 0.2 0.6, 0.7 0.6"), points("0.5 0.3, 0.5 0.9")];
const changed = (strokes, change) => strokes.map((stroke) => stroke.map(change));

test("anywidget finds render in the default, and no deprecated export of that name", () => {
  assert.equal(typeof pad.default.render, "function");
  assert.equal(pad.render, undefined);
});

test("strokes become 64 shares of ink", () => {
  const image = pad.reduce(hook);
  assert.equal(image.length, 64);
  assert.ok(image.every((ink) => ink >= 0 && ink <= 1 && Number.isInteger(ink * 16)));
});

test("an upright bar stands in the middle, as high as the picture and two columns wide", () => {
  const image = pad.reduce(bar);
  for (let k = 0; k < 64; k++) {
    const inside = k % 8 === 3 || k % 8 === 4;
    assert.ok(inside ? image[k] > 0.4 : k % 8 < 2 || k % 8 > 5 ? image[k] === 0 : true, k);
  }
  const [x, y] = middle(image);
  close(x, 4);
  close(y, 4);
});

test("a drawing that is smaller or elsewhere gives the same numbers", () => {
  const image = pad.reduce(hook);
  const moved = changed(hook, ([x, y]) => [x / 2 + 0.25, y / 2 + 0.375]);
  assert.deepEqual(pad.reduce(moved), image);
});

test("a mirrored drawing gives the mirrored numbers", () => {
  const image = pad.reduce(hook);
  const mirrored = pad.reduce(changed(hook, ([x, y]) => [1 - x, y]));
  assert.deepEqual(
    mirrored,
    image.map((_, k) => image[k - (k % 8) + 7 - (k % 8)]),
  );
});

test("a dot is as large as the pen", () => {
  const image = pad.reduce([[[0.3, 0.8]]]);
  close(16 * sum(image), Math.PI * 2.5 ** 2, 4); // fine dots; a circle of few is ragged
  middle(image).forEach((value) => {
    close(value, 4);
  });
});

test("a drawing keeps its proportions, and fills the height or the width", () => {
  const [[first, last]] = pad.centred(bar);
  close(last[1] - first[1], 32 - 5); // the pen's radius on both sides
  const [[left, right]] = pad.centred([points("0.1 0.5, 0.9 0.5")]);
  close(right[0] - left[0], 24 - 5);
  const [[a, b, c]] = pad.centred(hook);
  close((c[0] - b[0]) / (b[1] - a[1]), 1);
});

test("a quick pen leaves no gaps", () => {
  const passed = pad.along(points("0 0, 3 4, 3 4.5"));
  assert.deepEqual(passed[0], [0, 0]);
  assert.deepEqual(passed.at(-1), [3, 4.5]);
  for (let k = 1; k < passed.length; k++) {
    const step = passed[k].map((value, axis) => value - passed[k - 1][axis]);
    assert.ok(Math.hypot(...step) <= 1 + 1e-9, k);
  }
  assert.ok(passed.some(([x, y]) => Math.abs(x - 1.8) + Math.abs(y - 2.4) < 1e-9));
});

test("each number is its block's share of ink", () => {
  const dots = new Uint8Array(32 * 32);
  dots[0] = dots[3 * 32 + 3] = 1; // the first block's corners
  dots.fill(1, 31 * 32 + 28); // the last block's last row
  const image = pad.shares(dots);
  assert.deepEqual([image[0], image[1], image[63]], [2 / 16, 0, 4 / 16]);
  close(sum(image), 6 / 16);
});

test("strokes are drawn as they are, and a single point as a dot", () => {
  assert.equal(pad.pathOf(bar), "M0.5,0.1L0.5,0.1 0.5,0.9");
  assert.equal(pad.pathOf([[[0, 1]], [[0.5, 0]]]), "M0,1L0,1M0.5,0L0.5,0");
  assert.equal(pad.pathOf([]), "");
});

test("the softmax is of shares, also for large logits", () => {
  pad.softmax([0, Math.log(3)]).forEach((share, k) => {
    close(share, [0.25, 0.75][k]);
  });
  assert.deepEqual(pad.softmax(new Array(10).fill(1000)), new Array(10).fill(0.1));
});

test("what both say is said once, with the largest difference", () => {
  assert.equal(
    pad.inWords([0, 0, 5, 0], [1, 0, 5, 0]),
    "PyTorch in Python says 2, 98 % sure; ONNX Runtime Web in this browser says 2, " +
      "97 % sure; their logits differ by at most 1.0e+0.",
  );
  assert.equal(
    pad.inWords([0, 0, 5, 0], [0, 0, 5, 0.001], ["", ""]),
    "Both say 2, 98 % sure; their logits differ by at most 1.0e-3.",
  );
});

test("an answer that is missing is left out, and the reasons are said", () => {
  assert.equal(pad.inWords(null, null, ["On its way.", ""]), "On its way.");
  assert.equal(
    pad.inWords([9, 0], null, ["Failed."]),
    "PyTorch in Python says 0, 100 % sure. Failed.",
  );
  assert.equal(
    pad.inWords(null, [9, 0], ["", "Late."]),
    "ONNX Runtime Web in this browser says 0, 100 % sure. Late.",
  );
});

const turn = () => new Promise((resume) => setTimeout(resume));

test("only the newest waits, and one is worked on at a time", async () => {
  const begun = [];
  let finish;
  const give = pad.newestOnly((some) => {
    begun.push(some);
    return new Promise((resume) => {
      finish = resume;
    });
  });
  for (const some of [1, 2, 3]) give(some);
  await turn();
  assert.deepEqual(begun, [1]);
  finish();
  await turn();
  assert.deepEqual(begun, [1, 3]);
  finish();
  await turn();
  give(4);
  await turn();
  assert.deepEqual(begun, [1, 3, 4]);
});

const model = (found, more = {}) => ({ get: (name) => found[name], set() {}, ...more });

test("answers are to the image that is shown, or to the last frame of a stroke", () => {
  const [shown, before] = [
    [0, 1],
    [1, 1],
  ];
  const saved = model({ python: { image: shown, logits: [1] }, browser: {} });
  const to = (live, status, grows) =>
    pad.answersTo(shown, grows, saved, { late: "Late." }, { status, live });
  const live = { image: before, logits: [2] };
  const rest = { isAlone: false, isLate: false, reasons: [""] };
  assert.deepEqual(to(live, "", false), { python: [1], browser: null, ...rest });
  assert.deepEqual(to(live, "", true), { python: [1], browser: [2], ...rest });
  assert.ok(!to(live, "Failed.", true).browser);
  assert.deepEqual(to(live, "Failed.", false).reasons, ["Failed."]);
  // Once the pen is lifted, Python knows of the answer before it is shown.
  const answer = { image: [0, 1], logits: [3] };
  assert.equal(to(answer, "", false).browser, null);
  const told = model({ python: {}, browser: answer });
  const seen = pad.answersTo(shown, false, told, { late: "" }, { status: "", live: {} });
  assert.deepEqual(seen.browser, [3]);
});

test("while Python is late, its cure is said once, and other reasons beside it", () => {
  const image = [0, 1];
  const saved = model({ python: {}, browser: { image, logits: [4] } });
  const { status: waits } = pad.makeRuntime();
  const late = (status) =>
    pad.answersTo(image, false, saved, { late: "Late." }, { status, live: {} });
  const found = { python: null, browser: [4], isLate: true };
  assert.deepEqual(late(""), { ...found, isAlone: false, reasons: ["", "Late."] });
  assert.deepEqual(late(waits), { ...found, isAlone: true, reasons: ["", "Late."] });
  assert.deepEqual(late("No.").reasons, ["No.", "Late."]);
});

test("a kernel that is gone is noticed at once where it throws, else in a second", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let told = 0;
  const throws = () => {
    throw new Error("Cannot send");
  };
  const dead = model({}, { send: throws, save_changes: throws });
  for (const attempt of [(line) => line.send({}), (line) => line.set("image", [])]) {
    const line = pad.makeLine(dead, () => {
      told += 1;
    });
    attempt(line);
    assert.match(
      line.late,
      /^Python does not answer: .*run the cells above, then this one\.$/,
    );
  }
  assert.equal(told, 2);
  const line = pad.makeLine(model({}, { save_changes() {} }), () => {
    told += 1;
  });
  line.expect();
  line.set("image", []);
  assert.deepEqual([line.late, told], ["", 2]);
  t.mock.timers.tick(1000);
  assert.match(line.late, /^Python does not answer/);
  assert.equal(told, 3);
  line.expect();
  line.end();
  t.mock.timers.tick(1000);
  assert.deepEqual([line.late, told], ["", 3]);
});

test("keys lead to the neighbour, to the ends of the row, and to the first and last", () => {
  const keys = ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"];
  const around = (k) => keys.map((key) => pad.neighbour(k, key));
  assert.deepEqual(around(9), [1, 17, 8, 10]);
  assert.deepEqual(around(0), [0, 8, 0, 1]);
  assert.deepEqual(around(7), [7, 15, 6, 7]);
  assert.deepEqual(around(63), [55, 63, 62, 63]);
  const ends = (k, ctrl) => ["Home", "End"].map((key) => pad.neighbour(k, key, ctrl));
  assert.deepEqual(
    [ends(18, false), ends(18, true)],
    [
      [16, 23],
      [0, 63],
    ],
  );
  assert.equal(pad.neighbour(9, " "), undefined);
});

test("the two files that cannot import from each other have the same element()", () => {
  const found = ["explorers/drawing_pad.js", "panel/controls.js"].map(
    (path) => source(path).match(/^(?:export )?(function element\(.*?^\})$/ms)[1],
  );
  assert.equal(found[0], found[1]);
});
