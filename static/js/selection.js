// The list of polls: one box ticks all of them.

for (const form of document.querySelectorAll("[data-selection]")) {
  const all = form.querySelector("[data-all]");
  const boxes = [...form.querySelectorAll("[name=poll]")];
  all.closest("label").hidden = false;
  all.addEventListener("change", () => {
    for (const box of boxes) box.checked = all.checked;
  });
  const show = () => {
    const ticked = boxes.filter((box) => box.checked).length;
    all.checked = ticked === boxes.length;
    all.indeterminate = 0 < ticked && ticked < boxes.length;
  };
  form.addEventListener("change", show);
  show(); // who comes back finds what they had ticked
}
