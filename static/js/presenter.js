// The presenter's keys: F toggles full screen, H hides or shows the results.
// No module: it must run before the page is painted, or hidden results would flash up when the page is reloaded.

(() => {
  const root = document.documentElement;
  const storageKey = `hidden: ${location.pathname}`;
  const isHidden = () => root.hasAttribute("data-hidden");
  const keys = { f: "full-screen", h: "hide" };
  const actions = {
    "full-screen": () => (document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen()).catch(() => {}),
    hide: () => hide(!isHidden()),
  };

  function hide(hidden) {
    root.toggleAttribute("data-hidden", hidden);
    sessionStorage.setItem(storageKey, hidden ? "yes" : "");
    document.querySelector('[data-action="hide"]')?.setAttribute("aria-pressed", hidden);
  }

  hide(sessionStorage.getItem(storageKey) === "yes");

  addEventListener("DOMContentLoaded", () => {
    if (!document.fullscreenEnabled) delete actions["full-screen"];
    for (const [name, action] of Object.entries(actions)) {
      const button = document.querySelector(`[data-action="${name}"]`);
      button.hidden = false;
      button.addEventListener("click", action);
    }
    hide(isHidden());
  });

  addEventListener("keydown", ({ key, ctrlKey, metaKey, altKey, repeat }) => {
    if (!ctrlKey && !metaKey && !altKey && !repeat) actions[keys[key.toLowerCase()]]?.();
  });
})();
