// After panel.js or quiz.js in the same script, whose `render` it calls: a stand-in for the
// widget's model, without a kernel. The script's last line calls `hold`.

function makeModel(state) {
  const heard = new Set();
  return {
    get: (name) => state[name],
    set(name, value) {
      state[name] = value;
      for (const show of heard) show();
    },
    on(changes, show) {
      if (changes.startsWith("change:")) heard.add(show); // no message will come
    },
    off: (_changes, show) => heard.delete(show),
    save_changes() {},
  };
}

export function hold(kind) {
  for (const place of document.querySelectorAll(`.sls-held[data-kind="${kind}"]`)) {
    const state = JSON.parse(place.querySelector("script").textContent);
    place.replaceChildren();
    render({ model: makeModel(state), el: place });
  }
}
