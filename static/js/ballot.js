// Says beside the button of a ballot how many choices are selected, or how many points are left; buttons beside a number
// field add a point or take one. Without this script, the rule above the fields says the limits.

const ballot = document.querySelector(".ballot");
const fields = ballot.querySelector("[data-count]");
const status = ballot.querySelector(".ballot-status");
const steps = [...fields.querySelectorAll("[data-step]")];
const countsPoints = fields.dataset.count === "points"; // else marks
const most = Number(fields.dataset.most);
const [counted, exceeded] = [fields.dataset.counted, fields.dataset.exceeded].map((forms) => JSON.parse(forms));
const number = new Intl.NumberFormat(document.documentElement.lang);
const plural = new Intl.PluralRules(document.documentElement.lang);

fields.addEventListener("input", update);
fields.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-step]");
  if (!button) return;
  const field = fieldOf(button);
  field.value = Math.min(Math.max(pointsIn(field) + Number(button.dataset.step), 0), Number(field.max));
  update();
});
window.addEventListener("pageshow", update); // after going back, browsers fill in the form again

for (const button of steps) button.hidden = false;
update();

function update() {
  const used = countsPoints ? sum(fields.querySelectorAll(".points")) : fields.querySelectorAll(":checked").length;
  const left = most - used;
  status.textContent = left < 0 ? say(exceeded, -left, { over: -left }) : say(counted, countsPoints ? left : used, { used, left, most });
  status.classList.toggle("exceeded", left < 0);
  for (const button of steps) {
    const field = fieldOf(button);
    const isMore = button.dataset.step === "1";
    button.disabled = isMore ? left <= 0 || pointsIn(field) >= Number(field.max) : pointsIn(field) <= 0;
  }
}

function fieldOf(button) {
  return button.parentElement.querySelector(".points");
}

function pointsIn(field) {
  return Number(field.value) || 0;
}

function sum(inputs) {
  return [...inputs].reduce((total, field) => total + pointsIn(field), 0);
}

// Return the plural form for `count` of a translated sentence, with its placeholders, such as %(left)s, filled in.
function say(forms, count, numbers) {
  return forms[plural.select(count)].replace(/%\((\w+)\)s/g, (_, name) => number.format(numbers[name]));
}
