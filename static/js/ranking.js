// Keeps the leading choices first, on a presenter's page that can't show all. While results are hidden, the choices stand
// in the order of the ballot: any other would tell who leads.

const root = document.documentElement;
const section = document.querySelector("[data-ballot-order]");
const list = section.querySelector(".results");
const ballotOrder = section.dataset.ballotOrder.split(" ");
const row = (id) => list.querySelector(`[data-choice="${id}"]`);
let ranking = [...list.children].map((element) => element.dataset.choice);

function arrange() {
  const order = root.hasAttribute("data-hidden") ? ballotOrder : ranking;
  // Rows that are moved lose the animation of their bars.
  if (order.some((id, index) => list.children[index].dataset.choice !== id)) list.append(...order.map(row));
  section.dataset.arranged = "";
}

section.addEventListener("results", ({ detail: results }) => {
  ranking = ballotOrder.toSorted((one, other) => results[other].votes - results[one].votes);
  arrange();
});
new MutationObserver(arrange).observe(root, { attributeFilter: ["data-hidden"] });
arrange();
