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
  // The bar first: it is as long as what the poll's method counts, except for slivers.
  const difference = (one, other, key) => results[other][key] - results[one][key];
  ranking = ballotOrder.toSorted(
    (one, other) => difference(one, other, "bar") || difference(one, other, "points") || difference(one, other, "votes"),
  );
  arrange();
});
new MutationObserver(arrange).observe(root, { attributeFilter: ["data-hidden"] });
arrange();
