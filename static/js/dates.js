// Keeps the words beside a date true ("in 2 hours"), and adds the time in the visitor's own zone where that differs.
// Without this script they are those of the server, as true as when the page was loaded (Language.relative).

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const UNITS = { year: 365, month: 30, week: 7, day: 1 }; // in days, as Babel counts them
const INTERVAL = 15_000; // milliseconds between updates

const { locale, zone } = document.documentElement.dataset;
const numbered = new Intl.RelativeTimeFormat(locale);
const named = new Intl.RelativeTimeFormat(locale, { numeric: "auto" }); // yesterday, tomorrow
const notes = [...document.querySelectorAll(".relative-time")].map((element) => {
  const moment = new Date(element.previousElementSibling.dateTime);
  return { element, moment, own: ownTime(moment, element.dataset.own) };
});

if (notes.length) {
  update();
  setInterval(update, INTERVAL);
  document.addEventListener("visibilitychange", update); // timers are late in hidden tabs
}

function update() {
  for (const { element, moment, own } of notes) {
    const words = [distance(moment, new Date()), own].filter(Boolean).join(" · ");
    const text = element.dataset.words.replace("%(words)s", () => words);
    if (element.textContent !== text) element.textContent = text;
  }
}

function distance(moment, now) {
  const milliseconds = moment - now;
  const size = Math.abs(milliseconds);
  const sign = Math.sign(milliseconds) || -1;
  const format = (number, unit) => numbered.format(sign * number, unit);
  if (size < HOUR) return format(Math.min(Math.max(Math.round(size / MINUTE), 1), 59), "minute");
  const days = Math.round((startOfDay(moment) - startOfDay(now)) / DAY); // rounded: a day may have 23 or 25 hours
  if (days === 0 || size < 12 * HOUR) return format(Math.min(Math.round(size / HOUR), 23), "hour");
  if (Math.abs(days) === 1) return named.format(days, "day");
  const [unit, length] = Object.entries(UNITS).find(([, length]) => Math.abs(days) >= length);
  return format(Math.round(Math.abs(days) / length), unit);
}

function startOfDay(moment) {
  return new Date(moment.getFullYear(), moment.getMonth(), moment.getDate());
}

// Return the time that the visitor's clock shows at `moment`, with the date if it is another than in the site's zone.
function ownTime(moment, pattern) {
  const [siteDay, siteTime] = clock(moment, zone);
  const [day, time] = clock(moment);
  if (day === siteDay && time === siteTime) return "";
  const date = day === siteDay ? {} : { day: "numeric", month: "long" };
  const format = new Intl.DateTimeFormat(locale, { ...date, hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  return pattern.replace("%(time)s", () => format.format(moment));
}

function clock(moment, timeZone) {
  try {
    return [{ dateStyle: "short" }, { timeStyle: "short" }].map((style) =>
      new Intl.DateTimeFormat("en", { ...style, timeZone }).format(moment),
    );
  } catch {
    return []; // the browser doesn't know the site's zone
  }
}
