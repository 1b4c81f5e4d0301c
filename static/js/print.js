// Writes the URL of the page and the time below it when it is printed. Without this script it is the URL at most.

const { locale } = document.documentElement.dataset;
const format = new Intl.DateTimeFormat(locale, { dateStyle: "long", timeStyle: "long", hourCycle: "h23" });

addEventListener("beforeprint", () => {
  document.querySelector(".printed-from").textContent = `${location.href} · ${format.format(new Date())}`;
});
