// The list of polls: one checkbox selects all of them.

for (const form of document.querySelectorAll("[data-selection]")) {
  const all = form.querySelector("[data-all]");
  const boxes = [...form.querySelectorAll("[name=poll]")];
  all.closest("label").hidden = false;
  all.addEventListener("change", () => {
    for (const box of boxes) box.checked = all.checked;
  });
  const update = () => {
    const selected = boxes.filter((box) => box.checked).length;
    all.checked = selected === boxes.length;
    all.indeterminate = 0 < selected && selected < boxes.length;
  };
  form.addEventListener("change", update);
  update(); // browsers restore checkboxes when a visitor comes back to the page
}
