// Finds, filters and sorts the leaderboard. All rows are in the page; nothing is fetched.
for (const root of document.querySelectorAll(".in9-leaderboard:not([data-ready])")) {
  root.dataset.ready = "";
  const { entries, first, columns, numbers } = JSON.parse(
    root.querySelector("script[type='application/json']").textContent,
  );
  const [body, said, more] = [root.querySelector("tbody"), root.querySelector(".said"), root.querySelector(".more")];
  const search = root.querySelector("input");
  const filters = [...root.querySelectorAll("select[data-column]")];
  const order = root.querySelector(".order");
  const heads = [...root.querySelectorAll("thead th")];
  const titles = heads.map((head) => head.textContent);
  let [sorted, descending, most] = [-1, false, first];

  const plain = (text) => text.toLowerCase().replace(/[^a-z0-9]/g, "");
  const place = (column) => columns.indexOf(column);

  const compare = (a, b) => {
    const [x, y] = [a.keys[sorted], b.keys[sorted]];
    if (x === null || y === null) return (x === null) - (y === null); // what is not known comes last, either way
    const difference = numbers[sorted] ? x - y : x.localeCompare(y);
    return descending ? -difference : difference;
  };

  const line = ({ cells }) => {
    const row = document.createElement("tr");
    cells.forEach((text, k) => {
      const cell = document.createElement(k ? "td" : "th");
      if (!k) cell.scope = "row";
      if (numbers[k]) cell.className = "number";
      cell.dataset.head = titles[k];
      cell.textContent = text;
      row.append(cell);
    });
    return row;
  };

  const show = () => {
    const words = plain(search.value);
    const fits = ({ keys }) =>
      plain(keys[0]).includes(words) && filters.every((one) => !one.value || keys[place(one.dataset.column)] === one.value);
    const chosen = entries.filter(fits);
    if (sorted >= 0) chosen.sort(compare);
    body.replaceChildren(...chosen.slice(0, most).map(line));
    heads.forEach((head, k) => {
      if (k === sorted) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    order.value = sorted < 0 ? "" : String(sorted);
    more.hidden = chosen.length <= most;
    said.textContent =
      chosen.length <= most
        ? `${chosen.length} of ${entries.length} rows.`
        : `The first ${most} of ${chosen.length} rows${chosen.length < entries.length ? `; ${entries.length} in all` : ""}.`;
  };

  const sort = (column, down) => {
    [sorted, descending, most] = [column, down, first];
    show();
  };

  heads.forEach((head, k) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = titles[k];
    button.addEventListener("click", () => sort(k, sorted === k && !descending));
    head.replaceChildren(button);
  });
  order.addEventListener("change", () => sort(order.value === "" ? -1 : Number(order.value), false));
  for (const control of [search, ...filters])
    control.addEventListener("input", () => {
      most = first;
      show();
    });
  more.querySelector("button").addEventListener("click", () => {
    const next = body.children.length;
    most += first;
    show();
    const reached = body.children[next];
    reached.tabIndex = -1;
    reached.focus({ preventScroll: true });
  });
  root.querySelector(".controls").hidden = false;
  show();
}
