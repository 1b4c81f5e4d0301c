// The presenter's controls: full screen, and switches that are attributes of <html>, for CSS, and are remembered.
// No module: it must run before the page is painted, or hidden results would flash up when the page is reloaded.

(() => {
  const root = document.documentElement;
  const switches = {
    hidden: { storage: sessionStorage, key: `hidden: ${location.pathname}` },
    light: { storage: localStorage, key: "presenter: light" },
    "no-shortcuts": { storage: localStorage, key: "presenter: no-shortcuts" },
  };
  const shortcuts = { f: '[data-action="full-screen"]', h: '[data-switch="hidden"]' };
  const isOn = (name) => root.hasAttribute(`data-${name}`);

  function turn(name, on) {
    root.toggleAttribute(`data-${name}`, on);
    switches[name].storage.setItem(switches[name].key, on ? "yes" : "");
    document.querySelector(`[data-switch="${name}"]`)?.setAttribute("aria-pressed", on);
  }

  function toggleFullScreen() {
    (document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen()).catch(() => {});
  }

  function showButton(selector, action) {
    const button = document.querySelector(selector);
    if (!button) return; // nothing can be hidden on this screen while the results are hidden from everybody
    button.hidden = false;
    button.addEventListener("click", action);
  }

  const restore = () => Object.entries(switches).forEach(([name, { storage, key }]) => turn(name, storage.getItem(key) === "yes"));
  restore();

  addEventListener("DOMContentLoaded", () => {
    restore();
    if (document.fullscreenEnabled) showButton('[data-action="full-screen"]', toggleFullScreen);
    for (const name of Object.keys(switches)) showButton(`[data-switch="${name}"]`, () => turn(name, !isOn(name)));
  });

  addEventListener("keydown", ({ key, ctrlKey, metaKey, altKey, repeat }) => {
    if (isOn("no-shortcuts") || ctrlKey || metaKey || altKey || repeat) return;
    const selector = shortcuts[key.toLowerCase()];
    if (selector) document.querySelector(selector)?.click();
  });
})();
