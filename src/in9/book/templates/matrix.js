for (const root of document.querySelectorAll(".in9-matrix:not([data-ready])")) {
  root.dataset.ready = "";
  const views = JSON.parse(root.querySelector("script[type='application/json']").textContent);
  const rows = [...root.querySelectorAll("tbody tr")];
  const cells = rows.map((row) => [...row.querySelectorAll("button")]);
  const detail = root.querySelector(".detail");
  const choices = root.querySelector("fieldset");
  let chosen = root.querySelector("button[aria-pressed='true']");

  const show = () => {
    const view = choices.querySelector("input:checked").value;
    const differences = view === root.dataset.difference;
    views[view].forEach((numbers, r) => {
      rows[r].hidden = numbers.every((number) => number === null);
      numbers.forEach((number, c) => {
        const whole = Math.round(number);
        const sign = differences && whole > 0 ? "+" : "";
        const strength = differences ? Math.min(70, 4 * Math.abs(number)) : 0.7 * number;
        const cell = cells[r][c];
        cell.textContent = number === null ? root.dataset.nothing : `${sign}${whole}`.replace("-", "−");
        cell.style.setProperty("--strength", number === null ? 0 : strength);
        cell.style.setProperty("--hue", differences && number < 0 ? "#d55e00" : "#0072b2");
      });
    });
    if (chosen.closest("tr").hidden) choose(cells[rows.findIndex((row) => !row.hidden)][0]);
  };
  const choose = (cell) => {
    for (const [other, on] of [[chosen, false], [cell, true]]) {
      other.setAttribute("aria-pressed", on);
      other.tabIndex = on ? 0 : -1;
    }
    chosen = cell;
    detail.textContent = cell.getAttribute("aria-label");
  };

  choices.hidden = false;
  choices.addEventListener("change", show);
  for (const button of cells.flat()) {
    button.addEventListener("click", () => choose(button));
    button.addEventListener("pointerenter", () => (detail.textContent = button.getAttribute("aria-label")));
    button.addEventListener("pointerleave", () => (detail.textContent = chosen.getAttribute("aria-label")));
  }
  root.querySelector("tbody").addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    const shown = cells.filter((row, r) => !rows[r].hidden);
    const r = shown.findIndex((row) => row.includes(chosen));
    const c = shown[r].indexOf(chosen);
    const next = (place, by, count) => (place + by + count) % count;
    choose(shown[next(r, step[0], shown.length)][next(c, step[1], shown[r].length)]);
    chosen.focus();
  });
  show();
}
