// The reader's language, and how words and marks get into markup. WORDS stands in front of this file.

const language = (navigator.language || "en").toLowerCase().startsWith("zh") ? "zh" : "en";

function say(key, values = {}) {
  const text = WORDS[language][key] ?? WORDS.en[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

function esc(text) {
  const marks = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
  return String(text).replace(/[&<>"']/g, (mark) => marks[mark]);
}
