// Moves the dial. All numbers are in the page: nothing is computed, nothing is fetched.
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
