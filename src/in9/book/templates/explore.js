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

  const place = (tile, column, row) => {
    tile.style.setProperty("--c", column);
    tile.style.setProperty("--r", row);
  };

  const show = () => {
    const f = object.selectedIndex;
    const b = background.selectedIndex;
    const chosen = radios.findIndex((radio) => radio.checked);
    const column = chosen === 0 ? b : classes - 1 + chosen;
    thumbs.forEach((tile, k) => place(tile, k === 0 ? b : classes - 1 + k, f));
    thumbs[0].nextElementSibling.textContent = facts.mixed[f][b];
    maps.forEach((tile, k) => place(tile, column, (k + 1) * classes + f));
    answers.forEach((cell, k) => {
      const outcome = facts.outcomes[k][f][column];
      const [name, mark, words] = cell.children;
      name.textContent = facts.classes[facts.answers[k][f][column]];
      mark.className = `mark ${outcome}`;
      words.textContent = facts.words[outcome];
    });
    rows.forEach((row, label) => {
      row.querySelector("small").textContent = label === f ? "object" : label === b && chosen === 0 ? "background" : "";
      row.querySelectorAll("td").forEach((cell, k) => {
        const percent = facts.percents[k][f][column][label];
        cell.children[0].style.setProperty("--share", `${percent}%`);
        cell.children[1].textContent = `${percent} %`;
      });
    });
    buttons.forEach((button, k) => {
      const here = k === f * classes + b;
      button.setAttribute("aria-pressed", here);
      button.tabIndex = here ? 0 : -1;
    });
  };

  const choose = (f, b) => {
    object.selectedIndex = (f + classes) % classes;
    background.selectedIndex = (b + classes) % classes;
    radios[0].checked = true;
    show();
  };

  buttons.forEach((button, k) =>
    button.addEventListener("click", () => choose(Math.floor(k / classes), k % classes)),
  );
  root.querySelector(".grid").addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    choose(object.selectedIndex + step[0], background.selectedIndex + step[1]);
    buttons.find((button) => button.tabIndex === 0).focus();
  });
  root.addEventListener("change", show);
  show();
}

for (const root of document.querySelectorAll(".in9-explore.dial:not([data-ready])")) {
  root.dataset.ready = "";
  const input = root.querySelector("input");
  if (!input) continue;
  const positions = [...root.querySelectorAll(".position")];
  input.parentElement.hidden = false;
  const show = () => {
    positions.forEach((position, k) => (position.hidden = k !== Number(input.value)));
    input.setAttribute("aria-valuetext", positions[input.value].querySelector("b").textContent);
  };
  input.addEventListener("input", show);
  show();
}
