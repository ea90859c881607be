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
