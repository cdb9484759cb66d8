/* The colours that a reader chose, worn before the first paint; report.js has the buttons. */
const theme = (() => {
  "use strict";

  const KEPT = "energybench-theme";
  const root = document.documentElement;
  const SOURCES = "picture > source[media]";

  function remembered() {
    try {
      const kept = localStorage.getItem(KEPT);
      return ["light", "dark"].includes(kept) ? kept : "auto";
    } catch {
      return "auto"; // a sandboxed page may keep nothing
    }
  }

  /* On paper pictures are light, whatever was chosen. */
  function dress(source) {
    source.dataset.media ??= source.media;
    source.media = { dark: "screen", light: "not all" }[root.dataset.theme] ?? source.dataset.media;
  }

  function wear(chosen) {
    if (chosen === "auto") delete root.dataset.theme;
    else root.dataset.theme = chosen;
    for (const source of document.querySelectorAll(SOURCES)) dress(source);
  }

  function choose(chosen) {
    try {
      localStorage.setItem(KEPT, chosen);
    } catch {
      // The choice holds for this page.
    }
    wear(chosen);
  }

  wear(remembered());
  if (root.dataset.theme) {
    // Pictures wear it as they are read, so that none is fetched in the other colours.
    const reading = new MutationObserver((found) => {
      for (const { addedNodes } of found) for (const node of addedNodes) if (node.matches?.(SOURCES)) dress(node);
    });
    reading.observe(root, { childList: true, subtree: true });
    document.addEventListener("DOMContentLoaded", () => {
      reading.disconnect();
      wear(root.dataset.theme);
    });
  }
  return { remembered, choose };
})();
