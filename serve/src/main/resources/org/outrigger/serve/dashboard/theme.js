// Before the first paint: the colours that were chosen last, or those of the system.
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem("outrigger-theme");
  } catch {
    // Storage may be switched off.
  }
  if (chosen === "light" || chosen === "dark") {
    document.documentElement.dataset.theme = chosen;
  }
})();
