// Whether Python answers, and what the panel says where it does not.

// A new kernel knows nothing of this cell, nor of what it needs.
const LOST =
  "Python does not answer. Run the cells above (menu Run, Run All Above Selected Cell), " +
  "then this one.";
const BUSY = "Python is busy with another cell; the answer will come.";
const WORKING = "Python is at work on this; the answer will come.";
const EITHER =
  "Python has not answered yet. If it is busy, the answer will come; otherwise run the " +
  "cells above, then this one.";

const LOOK = 300; // ms from one look to the next
const BUSY_FROM = 800; // a quicker answer needs no words

// What will be gone soon takes no room of its own: nothing may move while a slider does.
export const passes = (words) => [BUSY, WORKING, EITHER].includes(words);

// JupyterLab tells what the kernel does; undefined where a front end does not.
export function statusOf({ widget_manager: manager }) {
  if (!manager || !("kernel" in manager)) return undefined;
  return manager.kernel?.status ?? "none";
}

const AT_WORK = [undefined, "busy", "working"];

// Between two cells, and on a busy machine, a kernel seems idle for a moment: only three
// looks in a row count. Where Python has never been heard, as after a restart, a busy one
// need not know of this panel.
export function sentenceFor(status, waited, idleLooks, isKnown) {
  if (!AT_WORK.includes(status)) return idleLooks < 3 ? "" : LOST;
  if (waited < BUSY_FROM) return "";
  if (status === "working") return WORKING;
  return status === "busy" && isKnown ? BUSY : EITHER;
}

// `say` shows a sentence; `setBusy` marks what is shown as old.
export class Contact {
  unanswered = new Set(); // presses
  isBehind = false; // the picture, behind the controls
  asks = false; // whether there is anybody
  isWorking = false; // Python, on what this panel has sent
  isKnown = false; // whether Python was ever heard
  isLost = false; // what was told, until Python is heard
  told = "";

  constructor(model, { say, setBusy }) {
    Object.assign(this, { model, say, setBusy });
  }

  // To be sent along: tells when Python begins with the message, and when it has done. The
  // kernel's status does not: a kernel that does two things at a time (in subshells) is
  // called idle when the first of them ends, a cell for example.
  get callbacks() {
    const usual = this.model.widget_manager?.callbacks?.() ?? {};
    const status = ({ content }) => {
      this.isWorking = content.execution_state === "busy";
    };
    return { ...usual, iopub: { ...usual.iopub, status } };
  }

  // No kernel that is gone works.
  status() {
    const status = statusOf(this.model);
    if (status !== "idle" && status !== "busy") this.isWorking = false;
    return this.isWorking ? "working" : status;
  }

  get isWaiting() {
    return this.isBehind || this.unanswered.size > 0;
  }

  tell(sentence) {
    this.told = sentence;
    this.isLost ||= sentence === LOST;
    this.say(sentence);
  }

  look() {
    this.timer = undefined;
    if (!this.isWaiting && !this.asks) {
      if (this.told) this.tell("");
      return;
    }
    const status = this.status();
    this.idleLooks = AT_WORK.includes(status) ? 0 : this.idleLooks + 1;
    const waited = performance.now() - this.since;
    const found = sentenceFor(status, waited, this.idleLooks, this.isKnown);
    const sentence = this.isLost ? LOST : found;
    // Nobody who has touched nothing need know that Python is busy.
    if (sentence && (this.isWaiting || sentence === LOST)) this.tell(sentence);
    this.timer = setTimeout(() => this.look(), LOOK);
  }

  watch() {
    this.setBusy(this.isWaiting);
    if (this.timer || !(this.isWaiting || this.asks)) return;
    [this.since, this.idleLooks] = [performance.now(), 0];
    this.timer = setTimeout(() => this.look(), LOOK);
  }

  send(message) {
    const asks = Math.random().toString(36).slice(2);
    try {
      this.model.send({ ...message, asks }, this.callbacks);
      return asks;
    } catch {
      this.tell(LOST); // the way to Python is closed, as after a restart
      return undefined;
    }
  }

  // A view that is made of a saved notebook may have no Python behind it.
  ask() {
    this.asks = this.send({}) !== undefined;
    this.watch();
  }

  press(pressed) {
    const asks = this.send({ pressed, values: this.model.get("values") });
    if (asks) this.unanswered.add(asks);
    this.watch();
  }

  setBehind(isBehind) {
    this.isBehind = isBehind;
    this.watch();
  }

  // Each answer begins the wait for the next.
  heard() {
    [this.isKnown, this.isLost, this.since] = [true, false, performance.now()];
    this.idleLooks = 0;
    if (this.told) this.tell("");
  }

  hear({ answered, failed }) {
    this.heard();
    this.say(""); // what the last press has failed with
    this.asks = false;
    this.unanswered.delete(answered);
    if (failed) this.say(`The button did not work. ${failed}`);
    this.watch();
  }

  stop() {
    clearTimeout(this.timer);
  }
}
