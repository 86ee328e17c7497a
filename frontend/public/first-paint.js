// Theme and language before the first paint, so that nothing flashes. Kept out of the page for the strict CSP.
(() => {
  const root = document.documentElement;
  let stored = {};
  try {
    stored = JSON.parse(localStorage.getItem("bitwatt.preferences") ?? "{}");
  } catch {
    // storage is closed or holds something else: the defaults do
  }
  const dark = stored.theme ? stored.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "dark" : "light";
  root.lang = (stored.language ?? navigator.language).startsWith("zh") ? "zh-CN" : "en";
})();
