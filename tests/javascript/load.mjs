// What runs in a browser, loaded here as anywidget and the pages load it: one text, from
// one file or several joined. Under its own name Node may take a .js file for CommonJS.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";

const CLASSROOM = new URL("../../helpers/classroom/", import.meta.url);

// As `script` in panel/__init__.py joins them; a test compares.
const FILES = [
  "controls.js",
  "form.js",
  "contact.js",
  "view.js",
  "answer.js",
  "guessing.js",
  "dragging.js",
  "panel.js",
];
export const PANEL = FILES.map((name) => `panel/${name}`);

export const source = (path) => readFileSync(new URL(path, CLASSROOM), "utf8");

export async function load(paths, more = "") {
  const folder = mkdtempSync(join(tmpdir(), "javascript-"));
  const file = join(folder, `${basename(paths.at(-1), ".js")}.mjs`);
  try {
    writeFileSync(file, [...paths.map(source), more].join("\n"));
    return await import(pathToFileURL(file));
  } finally {
    rmSync(folder, { recursive: true });
  }
}
