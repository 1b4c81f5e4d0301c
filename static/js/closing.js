// Leaves the form of a poll for the poll's page when the poll closes. Without this script, voting says that it is closed.

const SPREAD = 1_000; // milliseconds within which many open pages ask
const FIRST_PAUSE = 2_000; // until the server is asked again, if its clock or the closing time is another
const LONGEST_PAUSE = 60_000;
const LONGEST_TIMER = 24 * 60 * 60 * 1000; // setTimeout takes 24 days at most

const form = document.querySelector("[data-closes-at]");
if (form) leaveWhenClosed(form.dataset.here, form.dataset.closesAt);

function leaveWhenClosed(poll, closesAt) {
  let pause = FIRST_PAUSE;
  let timer = null;

  function schedule(delay = Date.parse(closesAt) - Date.now() + SPREAD * Math.random()) {
    clearTimeout(timer);
    timer = setTimeout(check, Math.max(0, Math.min(delay, LONGEST_TIMER)));
  }

  async function check() {
    if (Date.now() < Date.parse(closesAt)) return schedule();
    const response = await fetch(poll).catch(() => null);
    if (response?.ok) {
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const open = page.querySelector("[data-closes-at]");
      if (!open) return location.replace(poll);
      closesAt = open.dataset.closesAt;
    }
    schedule(Math.max(pause, Date.parse(closesAt) - Date.now()));
    pause = Math.min(2 * pause, LONGEST_PAUSE);
  }

  schedule();
  // Timers may stand still while a computer sleeps.
  document.addEventListener("visibilitychange", () => document.hidden || schedule());
}
