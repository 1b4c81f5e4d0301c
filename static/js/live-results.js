// Keeps the results on a page as they stand, over a WebSocket. Without this, the page has a link to load it again.

const FIRST_PAUSE = 500; // milliseconds until another try to connect; each is twice the one before
const LONGEST_PAUSE = 20_000;
const TRIES = 4; // without ever being connected, until WebSockets seem to be blocked here
const RELOAD_PAUSE = 15_000; // from then on
const HIDDEN = 30_000; // how long a page that nobody sees stays connected
const ANNOUNCEMENT_PAUSE = 5_000; // between two sentences for screen readers
const GONE = 1000; // the poll
const RESTORED = 1012; // to an earlier state
const BEHIND = 3_000; // how long a process may be behind what the page shows already

const section = document.querySelector("[data-live]");
if (section && "WebSocket" in window) {
  watch(section);
}

function watch(section) {
  const show = painter(section);
  const [live, late, refresh] = [".is-live", ".is-late", ".refresh"].map((name) => section.querySelector(name));
  let socket = null;
  let isSeen = false;
  let hasBeenLive = false;
  let failures = 0;
  let next = null;
  let leaving = null;
  let isLeaving = false;

  function connect() {
    next = null;
    if (socket || !isSeen || document.hidden) return;
    const address = new URL(section.dataset.live, location.href);
    address.protocol = address.protocol.replace("http", "ws");
    isLeaving = false;
    socket = new WebSocket(address);
    socket.onmessage = ({ data }) => {
      failures = 0;
      hasBeenLive = true;
      say(true);
      show(JSON.parse(data));
    };
    socket.onclose = ({ code }) => {
      socket = null;
      say(false);
      if (isLeaving) return;
      if (code === GONE || code === RESTORED) return reload(section);
      failures += 1;
      if (!hasBeenLive && failures >= TRIES) {
        reload(section, RELOAD_PAUSE);
      } else {
        retry();
      }
    };
  }

  function retry() {
    const pause = Math.min(FIRST_PAUSE * 2 ** (failures - 1), LONGEST_PAUSE);
    next ??= setTimeout(connect, pause * (0.5 + Math.random()));
  }

  // Quietly: whoever is not interested in how this works is told only when the numbers may be old.
  function say(isLive) {
    live.hidden = !isLive;
    late.hidden = isLive || document.hidden;
    refresh.hidden = isLive;
  }

  new IntersectionObserver((entries) => {
    isSeen = entries.at(-1).isIntersecting;
    if (isSeen && !next) connect();
  }).observe(section);

  document.addEventListener("visibilitychange", () => {
    clearTimeout(leaving);
    if (document.hidden) {
      leaving = setTimeout(() => {
        isLeaving = true;
        socket?.close();
      }, HIDDEN);
    } else if (!socket) {
      clearTimeout(next);
      connect();
    }
  });

  // The way of one's own vote to this page says which state it must show; a link to it that is passed on need not.
  history.replaceState(history.state, "", section.dataset.here);
}

// Writes what a message says where the server wrote it before, and in the same way.
function painter(section) {
  const language = document.documentElement.lang;
  const number = new Intl.NumberFormat(language);
  const percent = new Intl.NumberFormat(language, { style: "percent" });
  const plural = new Intl.PluralRules(language);
  const [votes, total] = [section.dataset.votes, section.dataset.total].map((forms) => JSON.parse(forms));
  const count = (forms, n) => forms[plural.select(n)].replace("%(votes)s", number.format(n));
  const announce = announcer(section);
  const edition = Number(section.dataset.edition);
  const isClosed = "closed" in section.dataset;
  let behind = null;

  return (message) => {
    const revision = Number(section.dataset.revision);
    if (message.edition !== edition || message.closed !== isClosed) return reload(section);
    // What stays behind was restored to an earlier state while nobody could tell us.
    if (message.revision < revision) behind ??= setTimeout(() => reload(section), BEHIND);
    else clearTimeout(behind);
    if (message.revision <= revision || message.choices === null) return;
    section.dataset.revision = message.revision;
    const rows = [...section.querySelectorAll("[data-choice]")];
    const counts = rows.map((row) => message.choices[row.dataset.choice].votes);
    const shares = wholePercentages(counts);
    const most = Math.max(...counts);
    rows.forEach((row, place) => {
      row.querySelector(".votes").textContent = count(votes, counts[place]);
      row.querySelector(".share").textContent = percent.format(shares[place] / 100);
      row.querySelector(".fill").setAttribute("width", shares[place]);
      mark(row, counts[place] === most && most > 0, section.dataset.leads);
    });
    const sum = count(total, counts.reduce((one, other) => one + other, 0));
    section.querySelector(".total").textContent = sum;
    const leaders = rows.filter((row) => row.classList.contains("leads"));
    announce(sum, leaders.map((row) => row.querySelector(".name").textContent), percent.format(Math.max(...shares) / 100));
  };
}

function mark(row, leads, word) {
  row.classList.toggle("leads", leads);
  const before = row.querySelector(".mark");
  if (before && !leads) before.remove();
  if (leads && !before) {
    const mark = document.createElement("span");
    mark.className = "mark";
    mark.textContent = word;
    row.querySelector(".name").after(" ", mark);
  }
}

// Tells screen readers how it stands: the newest, and not at every vote.
function announcer(section) {
  const region = section.querySelector("[data-announcer]");
  const list = new Intl.ListFormat(document.documentElement.lang);
  let waiting = null;
  let sentence = "";

  return (total, leaders, share) => {
    const inFront = section.dataset.inFront.replace("%(choices)s", list.format(leaders)).replace("%(share)s", share);
    sentence = leaders.length ? `${total}. ${inFront}` : total;
    waiting ??= setTimeout(() => {
      waiting = null;
      region.textContent = sentence;
    }, ANNOUNCEMENT_PAUSE);
  };
}

// Shares in whole percent that add up to 100, by the largest remainder: as polls/domain/tally.py counts them.
function wholePercentages(votes) {
  const total = votes.reduce((one, other) => one + other, 0);
  if (total === 0) return votes.map(() => 0);
  const shares = votes.map((count) => Math.floor((100 * count) / total));
  const missing = 100 - shares.reduce((one, other) => one + other, 0);
  const byLoss = [...votes.keys()].sort((one, other) => ((100 * votes[other]) % total) - ((100 * votes[one]) % total));
  for (const place of byLoss.slice(0, missing)) shares[place] += 1;
  return shares;
}

// Loads the page again. Thousands may do that at once, a proxy may be a second behind, and the server may be away: then
// the page stays, since nothing would bring it back.
function reload(section, pause = 200) {
  if (section.dataset.reloading) return;
  section.dataset.reloading = "yes";
  const isAgain = Date.now() - Number(sessionStorage.getItem("reloaded")) < 10_000;
  setTimeout(async () => {
    const answer = await fetch(location.href, { method: "HEAD" }).catch(() => null);
    await answer?.text(); // browsers call a request failed that a page left behind, even one without a body
    if (answer && answer.status < 500) {
      sessionStorage.setItem("reloaded", Date.now());
      location.reload();
    } else {
      section.dataset.reloading = "";
      reload(section, RELOAD_PAUSE);
    }
  }, Math.max(pause, isAgain ? 5_000 : 0) + 800 * Math.random());
}
