// Where the picture is looked through. It shrinks with the window only as long as its
// words can be read; from there on it scrolls sideways, and so do the handles on it.

const WIDE = 600; // of a picture, in its own units
const LEAST = 10.6; // px, of its smallest letters

export const smallestOf = (svg) =>
  Math.min(...Array.from(svg.matchAll(/font-size="(\d+)"/g), ([, size]) => Number(size)));

export function makeView(picture) {
  const node = element("div", { className: "view" }, picture);
  let smallest = 15;
  node.setAttribute("aria-label", "The picture");
  node.setAttribute("role", "group");
  // Only what scrolls has to be reached by Tab.
  const look = () => {
    node.tabIndex = node.scrollWidth > node.clientWidth ? 0 : -1;
  };
  new ResizeObserver(look).observe(node);
  const fit = (svg) => {
    // Once small, always small: a picture that changed its width at each move would jump.
    smallest = Math.min(smallest, smallestOf(svg));
    node.style.setProperty("--least", `${Math.ceil((LEAST / smallest) * WIDE)}px`);
  };
  return { node, fit };
}
