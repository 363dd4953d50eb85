// From a learner's strokes to the 64 numbers that the model sees: nothing here touches
// the page. drawing_pad.py joins this file, drawing_pad_answers.js and drawing_pad.js to
// one module; what is exported serves the tests, too.

export const SIDE = 8;
const FINE = 32; // the digits data were drawn in 32 x 32 and counted in blocks of 4 x 4
const WIDE = 24; // the outer columns of the data are nearly empty
const PEN = 2.5; // radius, in fine dots: as much ink as the data have on average

// Move the strokes to the middle and scale them to what the digits data fill.
export function centred(strokes) {
  const all = strokes.flat();
  const low = [0, 1].map((axis) => Math.min(...all.map((point) => point[axis])));
  const high = [0, 1].map((axis) => Math.max(...all.map((point) => point[axis])));
  const scale = Math.min(
    (WIDE - 2 * PEN) / Math.max(high[0] - low[0], 0.1),
    (FINE - 2 * PEN) / Math.max(high[1] - low[1], 0.25),
  );
  const place = (value, axis) => FINE / 2 + (value - (low[axis] + high[axis]) / 2) * scale;
  return strokes.map((stroke) => stroke.map((point) => point.map(place)));
}

// The points that the pen passes on its way, at most one fine dot apart.
export function along(stroke) {
  return stroke.flatMap((point, k) => {
    const from = stroke[Math.max(k - 1, 0)];
    const steps = Math.ceil(Math.hypot(point[0] - from[0], point[1] - from[1])) || 1;
    return Array.from({ length: steps + 1 }, (_, step) =>
      point.map((value, axis) => from[axis] + (step / steps) * (value - from[axis])),
    );
  });
}

// Only the dots around the pen are looked at: a stroke has hundreds of points, and is
// pressed anew at each frame.
function press(dots, [x, y]) {
  const around = (middle) => [
    Math.max(Math.floor(middle - PEN), 0),
    Math.min(Math.ceil(middle + PEN), FINE),
  ];
  const [[top, bottom], [left, right]] = [around(y), around(x)];
  for (let row = top; row < bottom; row++) {
    for (let column = left; column < right; column++) {
      const far = Math.hypot(column + 0.5 - x, row + 0.5 - y);
      if (far <= PEN) dots[row * FINE + column] = 1;
    }
  }
}

// Each block's share of ink.
export function shares(dots) {
  const block = FINE / SIDE;
  const image = new Array(SIDE * SIDE).fill(0);
  dots.forEach((dot, k) => {
    const row = Math.floor(k / FINE / block);
    const column = Math.floor((k % FINE) / block);
    image[row * SIDE + column] += dot / block ** 2;
  });
  return image;
}

// Strokes, lists of [x, y] in 0..1, to 64 numbers in 0..1, row by row.
export function reduce(strokes) {
  const dots = new Uint8Array(FINE * FINE);
  for (const stroke of centred(strokes)) {
    for (const point of along(stroke)) press(dots, point);
  }
  return shares(dots);
}

// The strokes as an SVG path; a single point becomes a dot, too.
export const pathOf = (strokes) =>
  strokes.map((stroke) => `M${stroke[0]}L${stroke.join(" ")}`).join("");

// The cell that a key leads to from cell k, as in any ARIA grid: the same at an edge, and
// none for another key.
export function neighbour(k, key, ctrl = false) {
  const [row, column] = [Math.floor(k / SIDE), k % SIDE];
  const last = SIDE * SIDE - 1;
  return {
    ArrowUp: row > 0 ? k - SIDE : k,
    ArrowDown: row < SIDE - 1 ? k + SIDE : k,
    ArrowLeft: column > 0 ? k - 1 : k,
    ArrowRight: column < SIDE - 1 ? k + 1 : k,
    Home: ctrl ? 0 : k - column,
    End: ctrl ? last : k - column + SIDE - 1,
  }[key];
}
