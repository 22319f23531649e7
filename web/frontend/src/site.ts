// What every page has: the choice of colours without a reload.

const form = document.querySelector<HTMLFormElement>("[data-schemes]");

form?.addEventListener("submit", (e) => {
  const chosen = e.submitter as HTMLButtonElement | null;
  if (!chosen) return;
  e.preventDefault();
  show(chosen.value);
  // The server keeps it, so that the next page comes in these colours at once. Where it
  // cannot, this page has them all the same.
  void fetch(form.action, { method: "POST", headers: { Accept: "application/json" }, body: new URLSearchParams({ scheme: chosen.value }) }).catch(() => {});
});

function show(scheme: string): void {
  if (scheme) document.documentElement.dataset["scheme"] = scheme;
  else delete document.documentElement.dataset["scheme"];
  for (const button of form!.querySelectorAll("button")) button.ariaPressed = String(button.value === scheme);
}

// A link to somebody's own lab is opened where labs are made.
if (document.getElementById("lab-yaml")) {
  const offer = (): void => {
    if (location.hash.startsWith("#share=")) void import("./share/lab").then(({ offerLab }) => offerLab());
  };
  addEventListener("hashchange", offer);
  offer();
}
