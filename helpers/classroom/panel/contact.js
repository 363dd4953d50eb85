// Whether Python answers, and what the panel says where it does not.

const LOST = "Python does not answer. Run this cell again (Shift+Enter).";
const BUSY = "Python is busy with another cell; the answer will come.";
const EITHER =
  "Python has not answered yet. If it is busy, the answer will come; " +
  "otherwise run this cell again (Shift+Enter).";

const LOOK = 300; // ms from one look to the next
const BUSY_FROM = 1000; // a quicker answer needs no words

// JupyterLab tells what the kernel does; undefined where a front end does not.
export function statusOf({ widget_manager: manager }) {
  if (!manager || !("kernel" in manager)) return undefined;
  return manager.kernel?.status ?? "none";
}

// Between two cells a kernel seems idle for a moment: only two looks in a row count.
export function sentenceFor(status, waited, idleLooks) {
  if (status === undefined) return waited < BUSY_FROM ? "" : EITHER;
  if (status === "busy") return waited < BUSY_FROM ? "" : BUSY;
  return idleLooks < 2 ? "" : LOST;
}

// `say` shows a sentence; `setBusy` marks what is shown as old.
export class Contact {
  unanswered = new Set(); // presses
  isBehind = false; // the picture, behind the controls
  asks = false; // whether there is anybody
  isWorking = false; // Python, on what this panel has sent
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
    return this.isWorking ? "busy" : status;
  }

  get isWaiting() {
    return this.isBehind || this.unanswered.size > 0;
  }

  tell(sentence) {
    this.told = sentence;
    this.say(sentence);
  }

  look() {
    this.timer = undefined;
    if (!this.isWaiting && !this.asks) {
      if (this.told) this.tell("");
      return;
    }
    const status = this.status();
    this.idleLooks = status === undefined || status === "busy" ? 0 : this.idleLooks + 1;
    const waited = performance.now() - this.since;
    const sentence = sentenceFor(status, waited, this.idleLooks);
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

  hear({ answered, failed }) {
    this.asks = false;
    this.unanswered.delete(answered);
    this.tell("");
    if (failed) this.say(`The button did not work. ${failed}`);
    this.watch();
  }

  stop() {
    clearTimeout(this.timer);
  }
}
