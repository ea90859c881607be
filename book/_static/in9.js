/* A telephone shows a row of the table of claims as a card: each cell then says which column it is from. */
document.addEventListener("DOMContentLoaded", () => {
  for (const table of document.querySelectorAll(".claims table")) {
    const names = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim());
    for (const row of table.tBodies[0].rows) {
      [...row.cells].forEach((cell, place) => (cell.dataset.column = names[place]));
      row.classList.toggle("chapter", [...row.cells].slice(1).every((cell) => !cell.textContent.trim()));
    }
  }
});

/* A table that scrolls sideways can be scrolled with the keys, too. */
addEventListener("load", () => {
  for (const box of document.querySelectorAll(".pst-scrollable-table-container")) {
    const watch = new ResizeObserver(() => {
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    });
    watch.observe(box);
  }
});
