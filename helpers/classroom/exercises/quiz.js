// The browser's half of a quiz: buttons, and what each choice has to say for itself. All of
// it is known here, so it answers without a kernel. No library, no import, no build step:
// anywidget loads this file as it is, and pages of handouts join held_panels.js to it. Python's
// half is quizzes.py. What is exported beside the default serves the tests.

function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

const isRight = ([_text, right]) => right;
const explanationOf = ([_text, _right, explanation]) => explanation;
export const isFound = (choices, picked) => picked.some((k) => isRight(choices[k]));

// What stands below choice k: nothing until it has been picked, or the right one found.
// A sign and words, so that no colour is needed. `picked` is in the order of the picks.
export function verdictOf(k, choices, picked) {
  if (!picked.includes(k) && !isFound(choices, picked)) return "";
  if (isRight(choices[k])) return "✓ Right.";
  return picked.includes(k) ? "→ You chose this: not quite." : "– Not this one.";
}

// What is announced: of the last pick only, since the rest stays on the page to be read.
export function saidOf(choices, picked) {
  if (!picked.length) return "";
  const last = choices[picked.at(-1)];
  const said = `${isRight(last) ? "Right" : "Not quite"}. ${explanationOf(last)}`;
  return isRight(last) ? `${said} Every choice is explained now.` : said;
}

const LOST = "Not kept: run the cells above and this one, then answer again.";
const LOOK = 500; // ms from one look at the kernel to the next

// Asks Python, after a pick, whether it is kept; `say` tells the learner where it is not.
// A page of handouts has nobody to ask, and nothing to keep.
export function makeKeeper(model, say) {
  let asks;
  let timer;
  let idleLooks;

  // Between two cells a kernel seems idle for a moment: only two looks in a row count.
  function look() {
    const status = model.widget_manager.kernel?.status;
    idleLooks = status === "busy" ? 0 : idleLooks + 1;
    if (idleLooks === 2) say(LOST);
    else timer = setTimeout(look, LOOK);
  }
  function stop() {
    clearTimeout(timer);
    asks = undefined;
    say("");
  }
  function ask() {
    if (!model.send) return;
    stop();
    asks = Math.random().toString(36).slice(2);
    try {
      model.send({ asks });
    } catch {
      say(LOST); // the way to Python is closed, as after a restart
      return;
    }
    // Where a front end does not tell what the kernel does, it may be busy.
    if (!model.widget_manager || !("kernel" in model.widget_manager)) return;
    idleLooks = 0;
    timer = setTimeout(look, LOOK);
  }
  function hear({ answered, fault }) {
    if (!asks || answered !== asks) return;
    stop();
    say(fault);
  }
  return { ask, hear, stop };
}

function makeNote(model) {
  const node = makeStatus("note");
  const keeper = makeKeeper(model, (words) => {
    node.textContent = words;
  });
  model.on("msg:custom", keeper.hear);
  const leave = () => {
    keeper.stop();
    model.off("msg:custom", keeper.hear);
  };
  return { ...keeper, node, leave };
}

function makeStatus(className) {
  const node = make("p", { className });
  node.setAttribute("role", "status");
  return node;
}

function makeChoice(text, k, id, pick) {
  const name = `${"abcdef"[k]}) ${text}`;
  const button = make("button", { type: "button", textContent: name });
  button.setAttribute("aria-describedby", id); // for who comes back to it
  button.addEventListener("click", () => pick(k));
  const words = make("p", { className: "words", id });
  return { node: make("div", { className: "choice" }, button, words), button, words };
}

function explain({ node, words }, explanation, verdict) {
  node.dataset.state = verdict.slice(0, 1);
  words.replaceChildren();
  words.hidden = !verdict;
  if (!verdict) return;
  words.append(make("strong", { textContent: verdict }), ` ${explanation}`);
}

function render({ model, el }) {
  // Each quiz runs its own copy of this module, so a counter would repeat.
  const prefix = `sls-quiz-${Math.random().toString(36).slice(2)}`;
  const choices = model.get("choices");
  const setPicked = (picked) => {
    // Every view of the quiz hears of the change, this one too, and shows it.
    model.set("picked", picked);
    model.save_changes();
  };
  const note = makeNote(model);
  const pick = (k) => {
    setPicked([...model.get("picked"), k]);
    note.ask();
  };
  const shown = choices.map(([text], k) => makeChoice(text, k, `${prefix}-${k}`, pick));
  const said = makeStatus("said");
  const again = make("button", { type: "button", textContent: "Try again" });
  again.addEventListener("click", () => {
    setPicked([]);
    note.stop();
    shown[0].button.focus(); // the button that had it is gone
  });
  const legend = make("legend", { textContent: model.get("question") });
  const nodes = [...shown.map(({ node }) => node), again, said, note.node];
  const quiz = make("fieldset", { className: "sls-quiz" }, legend, ...nodes);
  // JupyterLab's shortcuts would take the keys: `b` inserts a cell, `d` twice deletes one.
  quiz.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey) event.stopPropagation();
  });

  function update() {
    const picked = model.get("picked");
    shown.forEach((choice, k) => {
      explain(choice, explanationOf(choices[k]), verdictOf(k, choices, picked));
    });
    said.textContent = saidOf(choices, picked);
    again.hidden = !picked.length;
  }
  model.on("change:picked", update);
  update();
  el.append(quiz);
  return () => {
    note.leave();
    model.off("change:picked", update);
  };
}

export default { render };
