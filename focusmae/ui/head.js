// Before anything else on the page: the reader's own choice of language and light, and what all components use.

window.focusmae = (() => {
  const kept = (name) => { try { return localStorage.getItem(`focusmae-${name}`); } catch { return null; } };
  const keep = (name, value) => { try { localStorage.setItem(`focusmae-${name}`, value); } catch { /* a private window */ } };

  const chosen = kept("language");
  if (chosen) Object.defineProperty(navigator, "language", { get: () => chosen, configurable: true }); // all ask it there
  document.documentElement.lang = (navigator.language || "en").toLowerCase().startsWith("zh") ? "zh-CN" : "en";

  const light = kept("light");
  if (light) document.body.classList.toggle("dark", light === "dark");

  const size = (bytes) => (bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.max(1, Math.round(bytes / 1e6))} MB`);

  // Components tell each other what they must through the data attributes of the viewer's root.
  function whenViewer(then) {
    const root = document.querySelector(".fm");
    if (root) return then(root);
    setTimeout(() => whenViewer(then), 50);
  }

  return { kept, keep, size, whenViewer };
})();
