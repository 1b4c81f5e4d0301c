// The form of a poll: the buttons that fill a date or add a row, and Enter, work without a request to the server; the
// summaries of the folded parts say what was entered.

const MAX_LINES = 200; // of a pasted list: more than a poll can have choices

for (const form of document.querySelectorAll("[data-poll-form]")) {
  form.addEventListener("click", (event) => {
    const button = event.target.closest("button[name=do]");
    const [action, field] = button?.value.split(".") ?? [];
    if (action === "add_choice") addRow(form);
    else if (action === "next_choice") goToNextChoice(form, document.activeElement);
    else if (action === "today") form.elements[`${field}_date`].value = now(form).date;
    else if (action === "now") form.elements[`${field}_time`].value = now(form).time;
    else return;
    event.preventDefault();
    if (field) summarizeDates(form);
  });
  form.addEventListener("paste", (event) => {
    const field = event.target.closest(".choice-row .text");
    const lines = event.clipboardData.getData("text").split(/[\r\n]+/).filter((line) => line.trim());
    if (!field || lines.length < 2) return;
    event.preventDefault();
    pasteLines(form, field, lines.slice(0, MAX_LINES));
  });
  form.addEventListener("change", (event) => {
    if (event.target.closest(".when")) summarizeDates(form);
    if (event.target.closest(".how-to-vote")) summarizeMethod(form);
    if (event.target.closest(".who-sees")) summarizeVisibility(form);
  });
}

// Enter in a choice goes on to the next one, which is added if there is none; in any other field, to the first one.
function goToNextChoice(form, field) {
  const row = field.closest(".choice-row");
  const next = row ? row.nextElementSibling : form.querySelector(".choice-row");
  if (next) next.querySelector(".text").focus();
  else addRow(form);
}

// Put the first line into `field`, and each other one into a choice of its own: the next one if it is empty, or a new one.
function pasteLines(form, field, [first, ...others]) {
  field.setRangeText(first.trim(), field.selectionStart, field.selectionEnd, "end");
  let row = field.closest(".choice-row");
  for (const line of others) {
    const next = row.nextElementSibling;
    if (next && !next.querySelector(".text").value) row = next;
    else row = addRow(form);
    row.querySelector(".text").value = line.trim();
  }
  row.querySelector(".text").focus();
}

// Add and return an empty row: a copy of the last one, with the next number in the names of its fields.
function addRow(form) {
  const rows = [...form.querySelectorAll(".choice-row")];
  const positions = rows.map((row) => Number(row.querySelector(".position")?.value) || 0);
  const row = rows.at(-1).cloneNode(true);
  row.querySelectorAll("input[type=hidden], .message, .hint").forEach((element) => element.remove());
  row.querySelector(".extras").replaceChildren();
  for (const input of row.querySelectorAll("input")) {
    for (const name of ["id", "name"]) input[name] = input[name].replace(/\d+/, (number) => Number(number) + 1);
    input.setAttribute("aria-label", input.getAttribute("aria-label").replace(/\d+/, rows.length + 1));
    for (const name of ["aria-invalid", "aria-describedby"]) input.removeAttribute(name);
    input.value = "";
  }
  const position = row.querySelector(".position");
  if (position) position.value = Math.max(...positions) + 1;
  rows.at(-1).after(row);
  row.querySelector(".text").focus();
  return row;
}

function summarizeDates(form) {
  const summary = form.querySelector(".when-summary");
  const [start, end] = ["published", "closes"].map((field) => form.elements[field] ? enteredMoment(form, field) : "");
  const sentence = start ? (end ? "between" : "from") : end ? "until" : "now";
  summary.textContent = summary.dataset[sentence].replace("%(start)s", start).replace("%(end)s", end);
}

function summarizeMethod(form) {
  const method = form.querySelector(".method:has([name=method]:checked)");
  if (!method) return;
  const numbers = [...method.querySelectorAll("[data-summary]")].filter((field) => field.value.trim());
  const limits = numbers.map((field) => field.dataset.summary.replace("%(number)s", field.value.trim()));
  form.querySelector(".how-to-vote .folded-summary").textContent = [method.querySelector("b").textContent, ...limits].join(" · ");
}

function summarizeVisibility(form) {
  const box = form.querySelector(".who-sees");
  const chosen = box.querySelector(".method:has([name=results]:checked)");
  if (!chosen) return;
  const number = box.querySelector("[name=results_from]");
  const sealed = chosen.querySelector("[name=sealed]:checked");
  const parts = [chosen.querySelector("b").textContent];
  if (number.value.trim()) parts.push(number.dataset.summary.replace("%(number)s", number.value.trim()));
  if (sealed) parts.push(sealed.dataset.summary);
  box.querySelector(".folded-summary").textContent = parts.join(" · ");
}

// Return a date and time as text in the language of the page, or as far as they are entered.
function enteredMoment(form, field) {
  const [date, time] = [form.elements[`${field}_date`].value, form.elements[`${field}_time`].value];
  const style = { dateStyle: "long", timeStyle: "short", hourCycle: "h23" };
  const format = new Intl.DateTimeFormat(document.documentElement.dataset.locale, style);
  return date && time ? format.format(new Date(`${date}T${time}`)) : `${date} ${time}`.trim();
}

// Return the current date and time in the site's time zone.
function now(form) {
  const format = new Intl.DateTimeFormat("en-CA", {
    timeZone: form.dataset.timeZone,
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  });
  const parts = Object.fromEntries(format.formatToParts(new Date()).map((part) => [part.type, part.value]));
  return { date: `${parts.year}-${parts.month}-${parts.day}`, time: `${parts.hour}:${parts.minute}` };
}
