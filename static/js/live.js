// Receives the state of a poll over a WebSocket, passes it to the page's other scripts, and reloads the page if it shows
// what isn't so any more. Without this script, the page has a link to refresh it.

const FIRST_PAUSE = 500; // milliseconds until the first attempt to reconnect; each pause is twice the one before
const LONGEST_PAUSE = 20_000;
const MAX_FAILURES = 4; // without any message, until WebSockets are assumed to be blocked
const RELOAD_PAUSE = 15_000; // between reloads, if WebSockets are blocked or the server is unreachable
const SILENCE_TIMEOUT = 12_000; // without any message; the server sends one within 8 seconds
const HIDDEN_TIMEOUT = 30_000; // until a page in a hidden tab disconnects
const TURN_PAUSE = 1_200; // until a page whose results were hidden or shown is reloaded: proxies keep pages for a second
const ANNOUNCEMENT_DELAY = 1_000; // after loading: sooner, screen readers miss what is said
const STALE_TIMEOUT = 3_000; // how long messages may be older than the page before it is reloaded
const CLOSED_GONE = 1000; // close code: the poll is not public any more
const CLOSED_RESTORED = 1012; // close code: the database was restored to an earlier state

const section = document.querySelector("[data-live]");
if (section && "WebSocket" in window) {
  watch(section);
  announceTurn(section);
}

function watch(section) {
  const receive = createReceiver(section);
  const [live, late, refresh] = [".is-live", ".is-late", ".refresh"].map((name) => section.querySelector(name));
  let socket = null;
  let isVisible = false;
  let hasBeenLive = false;
  let failures = 0;
  let nextAttempt = null;
  let hiddenTimer = null;
  let silenceTimer = null;
  let isClosing = false;

  function connect() {
    nextAttempt = null;
    if (socket || !isVisible || document.hidden) return;
    const url = new URL(section.dataset.live, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    isClosing = false;
    socket = new WebSocket(url);
    restartSilenceTimer();
    socket.onmessage = ({ data }) => {
      failures = 0;
      hasBeenLive = true;
      restartSilenceTimer();
      const message = JSON.parse(data);
      if (!("revision" in message)) return; // nothing has changed
      showStatus(message.live);
      receive(message);
    };
    socket.onclose = ({ code }) => {
      disconnect();
      if (isClosing) return;
      if (code === CLOSED_GONE || code === CLOSED_RESTORED) return reload(section);
      retry();
    };
  }

  // The connection may be dead without having been closed, and closing it may take minutes: leave it and open another.
  function restartSilenceTimer() {
    clearTimeout(silenceTimer);
    silenceTimer = setTimeout(() => {
      socket.onmessage = socket.onclose = null;
      socket.close();
      disconnect();
      retry();
    }, SILENCE_TIMEOUT);
  }

  function disconnect() {
    clearTimeout(silenceTimer);
    socket = null;
    showStatus(false);
  }

  function retry() {
    failures += 1;
    if (!hasBeenLive && failures >= MAX_FAILURES) return reload(section, RELOAD_PAUSE);
    const pause = Math.min(FIRST_PAUSE * 2 ** (failures - 1), LONGEST_PAUSE);
    nextAttempt ??= setTimeout(connect, pause * (0.5 + Math.random()));
  }

  function showStatus(isLive) {
    if (!live) return; // nothing changes while it is closed
    live.hidden = !isLive;
    late.hidden = isLive || document.hidden;
    refresh.hidden = isLive;
  }

  new IntersectionObserver((entries) => {
    isVisible = entries.at(-1).isIntersecting;
    if (isVisible && !nextAttempt) connect();
  }).observe(section);

  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiddenTimer);
    if (document.hidden) {
      hiddenTimer = setTimeout(() => {
        isClosing = true;
        socket?.close();
      }, HIDDEN_TIMEOUT);
    } else if (!socket) {
      clearTimeout(nextAttempt);
      connect();
    }
  });

  // After a vote, the URL names the revision that the page must show; a URL that is shared should not.
  history.replaceState(history.state, "", section.dataset.here);
}

// Return a function that passes a message newer than the page to its other scripts, as an event "state" of the section,
// or reloads the page.
function createReceiver(section) {
  const edition = Number(section.dataset.edition);
  const isClosed = "closed" in section.dataset;
  let staleTimer = null;

  return (message) => {
    const revision = Number(section.dataset.revision);
    if (message.edition !== edition || message.closed !== isClosed) return turnOrReload(section, message);
    // Messages that stay older than the page: the database was restored while the page was disconnected.
    if (message.revision < revision) {
      staleTimer ??= setTimeout(() => reload(section), STALE_TIMEOUT);
      return;
    }
    clearTimeout(staleTimer);
    staleTimer = null;
    if ((message.hidden ?? null) !== reason(section) || Boolean(message.missing) !== "missing" in section.dataset) {
      return turnOrReload(section, message);
    }
    if (message.revision === revision) return;
    section.dataset.revision = message.revision;
    section.dispatchEvent(new CustomEvent("state", { detail: message }));
  };
}

// Return why the page hides the results, null if it shows them.
function reason(section) {
  return section.dataset.until ?? null;
}

// Reload the page. If its results were hidden or shown, say so to screen readers when it is loaded; results that are
// hidden now go at once.
function turnOrReload(section, message) {
  if (Boolean(message.hidden) === Boolean(reason(section))) return reload(section);
  if (message.hidden) {
    section.textContent = section.dataset.hiddenNow;
    document.querySelector(".distribution")?.remove();
  }
  sessionStorage.setItem("turned", turn(message.hidden));
  reload(section, TURN_PAUSE);
}

function turn(hidden) {
  return `${location.pathname} ${hidden ? "hidden" : "shown"}`;
}

function announceTurn(section) {
  const isTurned = sessionStorage.getItem("turned") === turn(reason(section));
  sessionStorage.removeItem("turned");
  if (!isTurned) return;
  setTimeout(() => {
    section.querySelector("[data-announcer]").textContent = reason(section) ? section.dataset.hiddenNow : section.dataset.shownNow;
  }, ANNOUNCEMENT_DELAY);
}

// Reload the page, at a random moment: thousands of pages may do so at once, and a proxy's cache may be a second old.
// If the server is unreachable, keep the page and try again later: a browser's error page would never reload.
function reload(section, pause = 200) {
  if (section.dataset.reloading) return;
  section.dataset.reloading = "yes";
  const isRepeated = Date.now() - Number(sessionStorage.getItem("reloaded")) < 10_000;
  setTimeout(async () => {
    const response = await fetch(location.href, { method: "HEAD" }).catch(() => null);
    await response?.text(); // or browsers report the request as failed when the page is left, even without a body
    if (response && response.status < 500) {
      sessionStorage.setItem("reloaded", Date.now());
      location.reload();
    } else {
      section.dataset.reloading = "";
      reload(section, RELOAD_PAUSE);
    }
  }, Math.max(pause, isRepeated ? 5_000 : 0) + 800 * Math.random());
}
