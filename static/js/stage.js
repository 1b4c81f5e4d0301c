// The presenter's keys: F for the full screen, H to hide the results until they are revealed.

const stage = document.querySelector(".standings");
const isHidden = `hidden: ${location.pathname}`; // survives a reload

const deeds = {
  "full-screen": () => (document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen()),
  hide: () => hide(!stage.hasAttribute("data-hidden")),
};
const keys = { f: "full-screen", h: "hide" };

for (const [name, deed] of Object.entries(deeds)) {
  const button = document.querySelector(`[data-does="${name}"]`);
  if (name === "full-screen" && !document.fullscreenEnabled) continue;
  button.hidden = false;
  button.addEventListener("click", deed);
}

document.addEventListener("keydown", ({ key, ctrlKey, metaKey, altKey, repeat }) => {
  if (!ctrlKey && !metaKey && !altKey && !repeat) deeds[keys[key.toLowerCase()]]?.();
});

function hide(yes) {
  stage.toggleAttribute("data-hidden", yes);
  document.querySelector('[data-does="hide"]').setAttribute("aria-pressed", yes);
  sessionStorage.setItem(isHidden, yes ? "yes" : "");
}

hide(sessionStorage.getItem(isHidden) === "yes");
