// Guess first, then see. The browser does it alone, so it works without a kernel.

const SVG = "http://www.w3.org/2000/svg";

export const written = (write, decimals, value) =>
  write.replace("{}", value.toFixed(decimals));

// Where a value stands on the axis on which the guesses lie.
export function placeOf({ values, places, log }, value) {
  const [low, high, here] = [...values, value].map((v) => (log ? Math.log(v) : v));
  const share = Math.min(Math.max((here - low) / (high - low), 0), 1);
  return places[0] + share * (places[1] - places[0]);
}

// Frames that were drawn ahead share their questions, as they share their lines.
export const askedOf = ({ guess }, lines) =>
  typeof guess === "number" ? JSON.parse(lines[guess]) : guess;

// What of a frame may be seen. A guess belongs to its question; after the first, the
// answers to others are open, too.
export function visible(frame, guessed, say) {
  const asked = frame.guess;
  if (!asked) return frame;
  if (!("value" in guessed)) {
    const brief = asked.before === frame.text ? frame.brief : "";
    const shown = { text: asked.before, brief, table: [], code: "" };
    return { ...frame, ...shown, isCovered: true };
  }
  if (guessed.question !== asked.question) return frame;
  const said = `You said ${say(guessed.value)}, it is ${say(asked.truth)}.`;
  const brief = frame.brief && `${said} ${frame.brief}`;
  return { ...frame, brief, text: `${said} ${frame.text}` };
}

// Places for the words at a guess's line, the best first: [x, y, anchor].
export function spots({ along, across: [from, to] }, place) {
  const far = Array.from({ length: 12 }, (_, k) => k / 12);
  if (along === "x") {
    return far.flatMap((share) => {
      const y = from + 11 + share * (to - from);
      return [
        [place + 6, y, "start"],
        [place - 6, y, "end"],
      ];
    });
  }
  return far.flatMap((share) => {
    const x = to - 4 - share * (to - from);
    return [
      [x, place - 6, "end"],
      [x, place + 14, "end"],
    ];
  });
}

export const overlap = (a, b) =>
  a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;

// Move the words to the first spot where they cover no others and stay in the picture.
function putApart(svg, words, asked, place) {
  const others = [...svg.querySelectorAll("text")].filter((other) => other !== words);
  const boxes = others.map((other) => other.getBoundingClientRect());
  const paper = svg.getBoundingClientRect();
  for (const [x, y, anchor] of spots(asked, place)) {
    words.setAttribute("x", x);
    words.setAttribute("y", y);
    words.setAttribute("text-anchor", anchor);
    const box = words.getBoundingClientRect();
    const isInside = box.left >= paper.left && box.right <= paper.right;
    if (isInside && !boxes.some((other) => overlap(box, other))) return;
  }
}

function drawGuess(svg, asked, value, text) {
  svg.querySelector(".guess-line")?.remove();
  const place = placeOf(asked, value);
  const [from, to] = asked.across;
  const path = asked.along === "x" ? `M${place} ${from}V${to}` : `M${from} ${place}H${to}`;
  const mark = document.createElementNS(SVG, "g");
  mark.setAttribute("class", "guess-line");
  mark.innerHTML = `<path d="${path}"/><text font-size="${smallestOf(svg.innerHTML)}"></text>`;
  mark.lastChild.textContent = `my guess ${text}`;
  svg.append(mark);
  putApart(svg, mark.lastChild, asked, place);
}

// The question with its slider and its button; `take` is called with the guess, and with
// undefined to guess again.
function makeQuestion(guess, id, { moved, take }) {
  const { node, input, set } = slider(rangeScale(guess.slider), guess.slider, id, moved);
  const question = makeSteady("p", "question", "");
  const button = element("button", { type: "button" });
  const row = element("div", { className: "row" }, node, button);
  const box = element("div", { className: "guess" }, question.node, row);
  question.node.id = `${id}-question`;
  input.setAttribute("aria-describedby", question.node.id);
  button.addEventListener("click", () => {
    if (button.getAttribute("aria-disabled") !== "true") take();
  });
  const show = (asked, isOpen) => {
    question.say(asked?.question ?? "");
    button.textContent = isOpen ? "Guess again" : "Show the answer";
    button.setAttribute("aria-disabled", !asked && !isOpen);
    input.disabled = isOpen || !asked;
  };
  return { node: box, show, set };
}

export class Guessing {
  asked = null;

  constructor(model, prefix, picture) {
    Object.assign(this, { model, picture, guess: model.get("guess") });
    if (!this.guess) return;
    this.value = this.guess.slider.value;
    const moved = (value) => {
      this.value = value;
      this.question.set(value);
      this.draw();
    };
    const take = () => this.take();
    this.question = makeQuestion(this.guess, `${prefix}-guess`, { moved, take });
    this.question.set(this.value);
  }

  get nodes() {
    return this.guess ? [this.question.node] : [];
  }

  get isOpen() {
    return "value" in this.model.get("guessed");
  }

  say(value) {
    return written(this.guess.write, this.guess.slider.decimals, value);
  }

  // Room for what is said in front of the longest words.
  get room() {
    return this.guess ? `You said ${"m".repeat(10)}, it is ${"m".repeat(10)}. ` : "";
  }

  take() {
    const value = this.value / 10 ** this.guess.slider.decimals;
    const taken = { value, question: this.asked?.question };
    this.model.set("guessed", this.isOpen ? {} : taken);
    this.model.save_changes();
  }

  // What may be seen of a frame.
  of(frame) {
    if (!this.guess) return frame;
    const guess = askedOf(frame, this.model.get("lines"));
    this.asked = guess ?? null;
    this.question.show(guess, this.isOpen);
    const say = (value) => this.say(value);
    return visible({ ...frame, guess }, this.model.get("guessed"), say);
  }

  // In the next frame, when sizes can be measured.
  draw() {
    if (this.guess) this.next ||= requestAnimationFrame(() => this.paint());
  }

  paint() {
    this.next = undefined;
    const svg = this.picture.querySelector("svg");
    const { value, question } = this.model.get("guessed");
    if (!svg || !this.asked || (this.isOpen && question !== this.asked.question)) return;
    const shown = this.isOpen ? value : this.value / 10 ** this.guess.slider.decimals;
    drawGuess(svg, this.asked, shown, this.say(shown));
  }
}
