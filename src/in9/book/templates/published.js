// Finds and filters the published networks. All numbers are in the page; nothing is fetched.
for (const root of document.querySelectorAll(".in9-published:not([data-ready])")) {
  root.dataset.ready = "";
  const { points, spans, box } = JSON.parse(root.querySelector("script[type='application/json']").textContent);
  const svg = root.querySelector("svg");
  const circles = [...svg.querySelectorAll(":scope > circle")];
  const [fit, mark] = [svg.querySelector(".fit"), svg.querySelector(".chosen")];
  const [said, names] = [root.querySelector(".said"), root.querySelector(".names")];
  const search = root.querySelector("input");
  const selects = [...root.querySelectorAll("select")];
  const most = 8; // names to choose from
  let shown = points.map((_, k) => k);
  let chosen = -1;
  root.querySelector(".controls").hidden = false;

  const plain = (text) => text.toLowerCase().replace(/[^a-z0-9]/g, "");
  const mean = (numbers) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;

  const line = () => {
    const [xs, ys] = [shown.map((k) => points[k].accuracy), shown.map((k) => points[k].gap)];
    const [x, y] = [mean(xs), mean(ys)];
    const spread = mean(xs.map((value) => (value - x) ** 2));
    fit.toggleAttribute("hidden", shown.length < 3 || spread < 1);
    if (shown.length < 3 || spread < 1) return "";
    const slope = mean(xs.map((value, k) => (value - x) * (ys[k] - y))) / spread;
    const ends = [Math.min(...xs), Math.max(...xs)];
    const across = (value) => box[0] + ((value - spans.x[0]) / (spans.x[1] - spans.x[0])) * (box[1] - box[0]);
    const down = (value) => box[3] - ((value - spans.y[0]) / (spans.y[1] - spans.y[0])) * (box[3] - box[2]);
    ends.forEach((end, k) => {
      fit.setAttribute(`x${k + 1}`, across(end));
      fit.setAttribute(`y${k + 1}`, down(y + slope * (end - x)));
    });
    return ` Slope of the line through them: ${slope.toFixed(2)} points of BG-Gap for each point on ImageNet.`;
  };

  const choose = (k) => {
    chosen = k;
    mark.toggleAttribute("hidden", k < 0);
    if (k < 0) return;
    const point = points[k];
    const [ring, label] = mark.children;
    ring.setAttribute("cx", point.x);
    ring.setAttribute("cy", point.y);
    const right = point.x < (box[0] + box[1]) / 2;
    label.textContent = point.name;
    label.setAttribute("x", point.x + (right ? 13 : -13));
    label.setAttribute("y", point.y < box[2] + 20 ? point.y + 20 : point.y - 9);
    label.setAttribute("text-anchor", right ? "start" : "end");
    said.textContent =
      `${point.name}: BG-Gap ${point.gap.toFixed(1)} points, ${point.accuracy.toFixed(1)} % on ImageNet. ` +
      `${point.family}; ${point.data}; ${point.setup}.`;
  };

  const show = () => {
    const words = plain(search.value);
    const fits = (point) =>
      plain(point.name).includes(words) && selects.every((one) => !one.value || point[one.dataset.kind] === one.value);
    shown = points.map((_, k) => k).filter((k) => fits(points[k]));
    const inside = new Set(shown);
    circles.forEach((circle, k) => circle.classList.toggle("out", !inside.has(k)));
    const slope = line();
    names.hidden = !words || !shown.length;
    names.replaceChildren(
      ...shown.slice(0, most).map((k) => {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = `${points[k].name}, ${points[k].accuracy.toFixed(1)} %`;
        button.addEventListener("click", () => choose(k));
        return button;
      }),
      shown.length > most ? `and ${shown.length - most} more` : "",
    );
    choose(shown.length === 1 ? shown[0] : -1);
    if (chosen < 0) said.textContent = `${shown.length} of ${points.length} networks.${slope}`;
  };

  svg.addEventListener("click", (event) => {
    const edges = svg.getBoundingClientRect();
    const scale = svg.viewBox.baseVal.width / edges.width;
    const [x, y] = [(event.clientX - edges.left) * scale, (event.clientY - edges.top) * scale];
    const away = (k) => Math.hypot(points[k].x - x, points[k].y - y);
    const near = shown.reduce((best, k) => (best < 0 || away(k) < away(best) ? k : best), -1);
    if (near >= 0 && away(near) < 25 * Math.max(1, scale)) choose(near);
  });
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (!step || !shown.length) return;
    event.preventDefault();
    const place = shown.indexOf(chosen);
    choose(shown[place < 0 ? (step > 0 ? 0 : shown.length - 1) : (place + step + shown.length) % shown.length]);
  });
  search.addEventListener("input", show);
  selects.forEach((select) => select.addEventListener("change", show));
  show();
}
