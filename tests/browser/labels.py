"""Measure a panel's words: none covers another, none is cut off, nothing below it jumps."""

import random
from pathlib import Path

from playwright.sync_api import Browser, Page

from helpers.classroom import panel
from helpers.classroom.handouts.panels import ASKED
from helpers.classroom.panel import SCRIPTS, Panel, script
from helpers.classroom.panel.controls import Control

CSS = Path(panel.__file__).with_name("panel.css")
assert SCRIPTS[-1] == "panel.js"  # whose `render` the page calls

# Each piece of text as boxes, a line each. A letter does not fill its line, so a box is
# less high than that. What scrolls may leave the panel's edge, but not its own picture's.
MEASURE = """(panel) => {
    const found = [];
    const edge = panel.getBoundingClientRect();
    const walk = document.createTreeWalker(panel, NodeFilter.SHOW_TEXT);
    const seen = [];
    const isIn = (box, room) => box.left > room.left - 1 && box.right < room.right + 1
        && box.top > room.top - 1 && box.bottom < room.bottom + 1;
    const scaleOf = (svg) => svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
    const add = (node, box, text) => {
        const { left, right, top, bottom, height, width } = box;
        if (!width || !height) return;
        const slack = 0.14 * height;
        const inner = { left: left + 0.5, right: right - 0.5, top: top + slack,
            bottom: bottom - slack, node, text };
        const svg = node.ownerSVGElement;
        if (!svg && node.closest(".code, .scrolls")) return;
        const scrolls = node.closest(".view");
        const paper = svg ?? node.closest('.handles');
        if (!isIn(inner, paper ? paper.getBoundingClientRect() : edge)) {
            found.push(`cut off: ${text}`);
        }
        if (svg && !isIn(scrolls.getBoundingClientRect(), edge)) {
            found.push(`picture leaves the panel: ${text}`);
        }
        const letters = parseFloat(getComputedStyle(node).fontSize);
        if (svg && letters * scaleOf(svg) < 10.5) found.push(`small: ${text}`);
        for (const other of seen) {
            if (other.node !== node && inner.left < other.right && other.left < inner.right
                && inner.top < other.bottom && other.top < inner.bottom) {
                found.push(`${other.text} / ${text}`);
            }
        }
        seen.push(inner);
    };
    while (walk.nextNode()) {
        const text = walk.currentNode.textContent.trim();
        const node = walk.currentNode.parentElement;
        if (!text || !node.checkVisibility({ visibilityProperty: true })) continue;
        if (node.closest("option")) continue;
        const range = document.createRange();
        range.selectNodeContents(walk.currentNode);
        for (const box of range.getClientRects()) add(node, box, text);
    }
    for (const grip of panel.querySelectorAll(".grip")) {
        add(grip, grip.getBoundingClientRect(), "(grip)");
    }
    return [...new Set(found)];
}"""

PAGE = """<!doctype html><meta charset="utf-8">
<style>body { margin: 0 } PANEL_CSS</style><main></main>
<script type="module">SCRIPT
const heard = {};
const state = {};
const model = {
    get: (name) => state[name],
    set: (name, value) => { state[name] = value; },
    on: (names, call) => { for (const name of names.split(" ")) heard[name] = call; },
    off() {}, save_changes() { heard["change:values"](); },
    send: ({ asks }) => queueMicrotask(() => heard["msg:custom"]({ answered: asks })),
};
window.open_panel = (given) => {
    Object.assign(state, given);
    const el = document.querySelector("main");
    el.replaceChildren();
    render({ model, el });
};
const frame = () => new Promise(requestAnimationFrame);
// Shows pictures one by one: what is wrong with the words, and how high the panel is.
window.measured = async (all) => {
    const panel = document.querySelector(".sls-panel");
    const found = [];
    for (const changes of all) {
        Object.assign(state, changes);
        heard["change:values"]();
        await frame();
        await frame(); // a guess is drawn in the next one
        const faults = (MEASURE)(panel);
        found.push({ faults, height: panel.offsetHeight, values: changes.values });
    }
    return found;
};
</script>"""


def blank(browser: Browser, width: int) -> Page:
    """Return a page that can show a panel without JupyterLab.

    Args:
        browser: where.
        width: of the output, in pixels.
    """
    page = browser.new_page(viewport={"width": width, "height": 900})
    html = PAGE.replace("PANEL_CSS", CSS.read_text(encoding="utf-8"))
    page.set_content(html.replace("SCRIPT", script()).replace("MEASURE", MEASURE))
    page.wait_for_function("() => window.measured")
    return page


def state(panel: Panel) -> dict:
    """Return what the browser is sent of a panel."""
    return {name: getattr(panel, name) for name in ASKED["panel"]}


def change(panel: Panel, values: dict) -> dict:
    """Give a panel these values; return what the browser then hears."""
    panel.values = values
    if panel.frames:
        return {"values": panel.values}
    return {"values": panel.values, "frame": panel.frame}


def some_values(panel: Panel, most: int) -> list[dict]:
    """Return values of a panel: each control's alone, the others at their start; random."""
    few = {control.name: _few(control) for control in panel._controls}
    chosen = [{**panel.values, name: each} for name, some in few.items() for each in some]
    draw = random.Random(0)
    chosen += [{name: draw.choice(few[name]) for name in few} for _ in range(most)]
    return chosen


def _few(control: Control) -> list:
    if control.kind == "ticks":
        return [(), control.names[:1], control.names]
    if control.kind == "sliders":
        stops, count = control.stops, len(control.names)
        mixed = tuple(stops[k % len(stops)] for k in range(count))
        return [control.value, (stops[-1],) * count, mixed]
    options = list(control.options)
    step = max(1, len(options) // 10)
    return options[::step] + options[-1:]
