// Moves the experiment of the first page. All pictures and answers are in the page: nothing is computed or fetched.
for (const root of document.querySelectorAll(".in9-demo:not([data-ready])")) {
  root.dataset.ready = "";
  const facts = JSON.parse(root.querySelector("script[type='application/json']").textContent);
  const [backgrounds, objects] = [...root.querySelectorAll("fieldset")].map((set) => [...set.querySelectorAll("input")]);
  const canvas = root.querySelector(".canvas");
  const networks = [...root.querySelectorAll(".network")];

  const show = () => {
    const f = objects.findIndex((input) => input.checked);
    const b = backgrounds.findIndex((input) => input.checked);
    const label = facts.objects[f];
    const behind = facts.backgrounds[b];
    canvas.querySelector(".front").src = objects[f].nextElementSibling.src;
    canvas.querySelector(".behind").src = backgrounds[b].nextElementSibling.src;
    canvas.setAttribute("aria-label", `${facts.classes[label]} on a background of class ${facts.classes[behind]}`);
    networks.forEach((network, k) => {
      const shares = facts.percents[k][f][b];
      const highest = Math.max(...shares);
      const answer = shares.indexOf(highest);
      const outcome = answer === label ? "right" : answer === behind ? "background" : "other";
      network.className = `network ${outcome}`;
      network.querySelector(".answer").textContent = facts.classes[answer];
      network.querySelector(".share").textContent = `${highest} %`;
      network.querySelector(".bar").style.setProperty("--share", `${highest}%`);
      network.querySelector(".verdict").textContent = {
        right: "right",
        background: "wrong: it names the background's class",
        other: "wrong",
      }[outcome];
    });
  };
  root.addEventListener("change", show);
  show();
}
