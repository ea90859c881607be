// Moves the static blocks of the page "Explore". All answers are in the page: nothing is computed, nothing is fetched.
for (const root of document.querySelectorAll(".in9-explore.pairs:not([data-ready])")) {
  root.dataset.ready = "";
  const facts = JSON.parse(root.querySelector("script[type='application/json']").textContent);
  const classes = facts.classes.length;
  const [object, background] = root.querySelectorAll("select");
  const radios = [...root.querySelectorAll(".strip input")];
  const thumbs = [...root.querySelectorAll(".strip .tile")];
  const maps = [...root.querySelectorAll(".scores .tile")];
  const answers = [...root.querySelectorAll(".scores .answers td")];
  const rows = [...root.querySelectorAll(".scores .class")];
  const buttons = [...root.querySelectorAll(".grid button")];
  const marks = ["right", "background", "other"];

  const place = (tile, column, row) => {
    tile.style.setProperty("--c", column);
    tile.style.setProperty("--r", row);
  };

  const show = () => {
    const f = object.selectedIndex;
    const b = background.selectedIndex;
    const chosen = radios.findIndex((one) => one.checked);
    const column = chosen === 0 ? b : classes - 1 + chosen;
    thumbs.forEach((tile, k) => place(tile, k === 0 ? b : classes - 1 + k, f));
    thumbs[0].nextElementSibling.textContent = facts.mixed[f][b];
    maps.forEach((tile, k) => place(tile, column, (k + 1) * classes + f));
    answers.forEach((cell, k) => {
      const [answer, verdict] = facts.seen[k][f][column];
      const [name, mark, words] = cell.children;
      name.textContent = facts.classes[answer];
      mark.className = `mark ${marks[verdict]}`;
      words.textContent = facts.verdicts[verdict];
    });
    rows.forEach((row, k) => {
      row.querySelector("small").textContent = k === f ? "object" : k === b && chosen === 0 ? "background" : "";
      [...row.querySelectorAll("td")].forEach((cell, which) => {
        const share = facts.seen[which][f][column][2 + k];
        cell.children[0].style.setProperty("--share", `${share}%`);
        cell.children[1].textContent = `${share} %`;
      });
    });
    buttons.forEach((one, k) => {
      const here = k === f * classes + b;
      one.setAttribute("aria-pressed", here);
      one.tabIndex = here ? 0 : -1;
    });
  };

  const choose = (f, b) => {
    object.selectedIndex = (f + classes) % classes;
    background.selectedIndex = (b + classes) % classes;
    radios[0].checked = true;
    show();
  };

  buttons.forEach((one, k) => one.addEventListener("click", () => choose(Math.floor(k / classes), k % classes)));
  root.querySelector(".grid").addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    choose(object.selectedIndex + step[0], background.selectedIndex + step[1]);
    buttons.find((one) => one.tabIndex === 0).focus();
  });
  root.addEventListener("change", show);
  show();
}

for (const root of document.querySelectorAll(".in9-explore.dial:not([data-ready])")) {
  root.dataset.ready = "";
  const input = root.querySelector("input");
  if (!input) continue;
  const words = JSON.parse(input.dataset.words);
  const positions = [...root.querySelectorAll(".position")];
  input.parentElement.hidden = false;
  const show = () => {
    positions.forEach((one, k) => (one.hidden = k !== Number(input.value)));
    input.setAttribute("aria-valuetext", words[input.value]);
  };
  input.addEventListener("input", show);
  show();
}
