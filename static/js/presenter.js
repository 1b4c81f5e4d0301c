// The presenter's keys: F for the full screen, H to hide the results until they are revealed.
// No module: it runs before the page is drawn, so that what is hidden doesn't flash up when the page is loaded again.

(() => {
  const stage = document.documentElement;
  const memory = `hidden: ${location.pathname}`;
  const isHidden = () => stage.hasAttribute("data-hidden");
  const keys = { f: "full-screen", h: "hide" };
  const deeds = {
    "full-screen": () => (document.fullscreenElement ? document.exitFullscreen() : stage.requestFullscreen()).catch(() => {}),
    hide: () => hide(!isHidden()),
  };

  function hide(yes) {
    stage.toggleAttribute("data-hidden", yes);
    sessionStorage.setItem(memory, yes ? "yes" : "");
    document.querySelector('[data-does="hide"]')?.setAttribute("aria-pressed", yes);
  }

  hide(sessionStorage.getItem(memory) === "yes");

  addEventListener("DOMContentLoaded", () => {
    if (!document.fullscreenEnabled) delete deeds["full-screen"];
    for (const [name, deed] of Object.entries(deeds)) {
      const button = document.querySelector(`[data-does="${name}"]`);
      button.hidden = false;
      button.addEventListener("click", deed);
    }
    hide(isHidden());
  });

  addEventListener("keydown", ({ key, ctrlKey, metaKey, altKey, repeat }) => {
    if (!ctrlKey && !metaKey && !altKey && !repeat) deeds[keys[key.toLowerCase()]]?.();
  });
})();
