// Runs before anything is painted (a blocking script, and the reason why it is a file of its own): no flash of the
// other theme. Imports nothing.
(() => {
  let chosen: string | null = null;
  try {
    chosen = localStorage.getItem("backstream.theme");
  } catch {
    // Storage is forbidden: the system's theme.
  }
  const dark = chosen === "dark" || (chosen !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset["theme"] = dark ? "dark" : "light";
})();
