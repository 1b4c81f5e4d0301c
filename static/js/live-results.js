// Updates the results on a page over a WebSocket. Without this script, the page has a link to refresh it.

const FIRST_PAUSE = 500; // milliseconds until the first attempt to reconnect; each pause is twice the one before
const LONGEST_PAUSE = 20_000;
const MAX_FAILURES = 4; // without any message, until WebSockets are assumed to be blocked
const RELOAD_PAUSE = 15_000; // between reloads, if WebSockets are blocked or the server is unreachable
const SILENCE_TIMEOUT = 12_000; // without any message; the server sends one every 5 seconds
const HIDDEN_TIMEOUT = 30_000; // until a page in a hidden tab disconnects
const ANNOUNCEMENT_PAUSE = 5_000; // between two announcements to screen readers
const STALE_TIMEOUT = 3_000; // how long messages may be older than the page before it is reloaded
const CLOSED_GONE = 1000; // close code: the poll is not public any more
const CLOSED_RESTORED = 1012; // close code: the database was restored to an earlier state

const section = document.querySelector("[data-live]");
if (section && "WebSocket" in window) {
  watch(section);
}

function watch(section) {
  const update = createUpdater(section);
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
      update(message);
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
    if ("closed" in section.dataset) return; // "Final result"
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

// Return a function that writes a message into the section, as templates/public/_results.html renders it.
function createUpdater(section) {
  const language = document.documentElement.lang;
  const number = new Intl.NumberFormat(language);
  const { style } = section.dataset;
  const figures = [0, 1, 2].map((decimals) => new Intl.NumberFormat(language, { style, minimumFractionDigits: decimals, maximumFractionDigits: decimals }));
  const plural = new Intl.PluralRules(language);
  const [votes, total] = [section.dataset.votes, section.dataset.total].map((forms) => JSON.parse(forms));
  const { votesOf, totalOf } = section.dataset; // the number that decides the plural form
  const { joined } = section.dataset; // a total of two parts: the points, and the voters that gave them
  const from = joined && JSON.parse(section.dataset.from);
  const count = (forms, of, numbers) =>
    fill(forms[plural.select(numbers[of])], Object.fromEntries(Object.entries(numbers).map(([name, n]) => [name, number.format(n)])));
  const announce = createAnnouncer(section);
  const edition = Number(section.dataset.edition);
  const isClosed = "closed" in section.dataset;
  let staleTimer = null;

  return (message) => {
    const revision = Number(section.dataset.revision);
    if (message.edition !== edition || message.closed !== isClosed) return reload(section);
    // Messages that stay older than the page: the database was restored while the page was disconnected.
    if (message.revision < revision) {
      staleTimer ??= setTimeout(() => reload(section), STALE_TIMEOUT);
    } else {
      clearTimeout(staleTimer);
      staleTimer = null;
    }
    if (message.revision <= revision || message.choices === null) return;
    section.dataset.revision = message.revision;
    const rows = [...section.querySelectorAll("[data-choice]")];
    const resultOf = (row) => message.choices[row.dataset.choice];
    const unit = style === "percent" ? 100 : 1;
    const figure = ({ value, sign }) => (value === null ? "–" : sign + figures[message.decimals].format(value / unit));
    const voters = message.ballots;
    const leaders = rows.filter((row) => resultOf(row).leads);
    for (const row of rows) {
      const result = resultOf(row);
      row.querySelector(".votes").textContent = count(votes, votesOf, { votes: result.votes, points: result.points, voters });
      row.querySelector(".share").textContent = figure(result);
      row.querySelector(".fill").setAttribute("width", result.bar);
      markLeader(row, result.leads, leaders.length > 1 ? section.dataset.tied : section.dataset.leads);
    }
    const numbers = { votes: message.votes, points: message.points, voters };
    const counted = count(total, totalOf, numbers);
    const totalText = joined ? fill(joined, { points: counted, voters: count(from, "voters", numbers) }) : counted;
    section.querySelector(".total").textContent = totalText;
    section.querySelector(".rounding").hidden = message.adds_up;
    const names = leaders.map((row) => row.querySelector(".name").textContent);
    const share = names.length ? figure(resultOf(leaders[0])) : "";
    announce(totalText, names, fill(section.dataset.figure ?? "%(figure)s", { figure: share }));
    document.querySelector(".later-votes")?.removeAttribute("hidden"); // of the distribution of scores
    section.dispatchEvent(new CustomEvent("results", { detail: message.choices }));
  };
}

function markLeader(row, leads, text) {
  row.classList.toggle("leads", leads);
  let label = row.querySelector(".leader-label");
  if (!leads) return label?.remove();
  if (!label) {
    label = document.createElement("span");
    label.className = "leader-label";
    row.querySelector(".name").after(" ", label);
  }
  label.textContent = text;
}

// Return a function that announces the latest results to screen readers, at most once every ANNOUNCEMENT_PAUSE.
function createAnnouncer(section) {
  const region = section.querySelector("[data-announcer]");
  const list = new Intl.ListFormat(document.documentElement.lang);
  let timer = null;
  let sentence = "";

  return (total, names, share) => {
    const leaders = fill(section.dataset.leaders, { choices: list.format(names), share });
    sentence = names.length ? `${total}. ${leaders}` : total;
    timer ??= setTimeout(() => {
      timer = null;
      region.textContent = sentence;
    }, ANNOUNCEMENT_PAUSE);
  };
}

// Fill the placeholders of a translated sentence, such as %(votes)s, at once: values may contain any characters.
function fill(sentence, values) {
  return sentence.replace(/%\((\w+)\)s/g, (_, name) => values[name]);
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
