// The list of polls: a checkbox selects all on the page, another one all that match.

for (const form of document.querySelectorAll("[data-selection]")) {
  const all = form.querySelector("[data-all]");
  const matching = form.querySelector("[name=matching]"); // missing if all polls are on this page
  const boxes = [...form.querySelectorAll("[name=poll]")];
  all.closest("label").hidden = false;
  const update = () => {
    const selected = boxes.filter((box) => box.checked).length;
    all.checked = selected === boxes.length;
    all.indeterminate = 0 < selected && selected < boxes.length;
    if (matching && !all.checked) matching.checked = false;
  };
  form.addEventListener("change", ({ target }) => {
    if (target === all || (target === matching && matching.checked)) {
      for (const box of boxes) box.checked = target.checked;
    }
    update();
  });
  update(); // browsers restore checkboxes when a visitor comes back to the page
}
