// The form of a poll: what its helping buttons do, without asking the server.

for (const form of document.querySelectorAll("[data-poll-form]")) {
  form.addEventListener("click", (event) => {
    const button = event.target.closest("button[name=do]");
    const [deed, moment] = button?.value.split(".") ?? [];
    if (deed === "add_choice") addSlot(form);
    else if (deed === "today") form.elements[`${moment}_date`].value = here(form).date;
    else if (deed === "now") form.elements[`${moment}_time`].value = here(form).time;
    else return;
    event.preventDefault();
  });
}

// One more empty slot, made of the last one, whose number among the fields rises by one.
function addSlot(form) {
  const slots = [...form.querySelectorAll(".slot")];
  const places = slots.map((slot) => Number(slot.querySelector(".place").value) || 0);
  const slot = slots.at(-1).cloneNode(true);
  slot.querySelectorAll("input[type=hidden], .message, .hint").forEach((element) => element.remove());
  slot.querySelector(".about").replaceChildren();
  for (const input of slot.querySelectorAll("input")) {
    input.name = input.name.replace(/\d+/, (number) => Number(number) + 1);
    input.setAttribute("aria-label", input.getAttribute("aria-label").replace(/\d+/, slots.length + 1));
    for (const name of ["aria-invalid", "aria-describedby"]) input.removeAttribute(name);
    input.value = "";
  }
  slot.querySelector(".place").value = Math.max(...places) + 1;
  slots.at(-1).after(slot);
  slot.querySelector(".text").focus();
}

// What a clock and a calendar show in the site's time zone.
function here(form) {
  const shown = new Intl.DateTimeFormat("en-CA", {
    timeZone: form.dataset.timeZone,
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  });
  const parts = Object.fromEntries(shown.formatToParts(new Date()).map((part) => [part.type, part.value]));
  return { date: `${parts.year}-${parts.month}-${parts.day}`, time: `${parts.hour}:${parts.minute}` };
}
