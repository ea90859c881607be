// Filters the claims by verdict and chapter. Without JavaScript all of them are there, folded by chapter.
for (const root of document.querySelectorAll(".in9-claims:not([data-ready])")) {
  root.dataset.ready = "";
  const filter = root.querySelector("fieldset");
  const chapters = [...root.querySelectorAll("details")];
  filter.hidden = false;
  filter.addEventListener("change", () => {
    const verdict = filter.querySelector("input:checked").value;
    const chapter = filter.querySelector("select").value;
    for (const details of chapters) {
      const claims = [...details.querySelectorAll(".claim")];
      claims.forEach((claim) => (claim.hidden = verdict !== "" && !claim.dataset.verdicts.split("|").includes(verdict)));
      const any = claims.some((claim) => !claim.hidden);
      details.hidden = !any || (chapter !== "" && details.dataset.chapter !== chapter);
      details.open = !details.hidden && (verdict !== "" || chapter !== "");
    }
  });
}
