// The top line: name, ways to read more, language and light. Runs once, with element and props.

const { kept, keep } = window.focusmae;
const other = language === "zh" ? "en" : "zh";
const dark = () => document.body.classList.contains("dark");

const MOON = `<svg viewBox="0 0 16 16" width="15" height="15" aria-hidden="true"><circle cx="8" cy="8" r="6.2" fill="none"
  stroke="currentColor" stroke-width="1.4"/><path d="M8 1.8a6.2 6.2 0 0 1 0 12.4z" fill="currentColor"/></svg>`;

function dialog(name, title, body) {
  return `<dialog class="fm-page-help" data-help="${name}" aria-labelledby="help-${name}">
    <header><h2 id="help-${name}">${esc(title)}</h2><button type="button" data-close aria-label="${esc(say("close"))}">×</button></header>
    ${body}</dialog>`;
}

const paragraphs = (keys) => keys.map((key) => `<dt>${esc(say(`read_${key}`))}</dt><dd>${esc(say(`read_${key}_text`))}</dd>`).join("");

element.innerHTML = `<header class="fm-top">
  <div class="fm-brand"><b>FocusMAE</b><span>${esc(say("tagline"))}</span></div>
  <nav aria-label="${esc(say("more_about"))}">
    <button type="button" data-open="read" aria-haspopup="dialog">${esc(say("how"))}</button>
    ${props.value.help ? `<button type="button" data-open="help" aria-haspopup="dialog">${esc(say("does_it_help"))}</button>` : ""}
    <a href="?view=api" data-api>API</a>
    <button type="button" data-language lang="${other}">${other === "zh" ? "中文" : "English"}</button>
    <button type="button" data-light aria-label="${esc(say("light"))}" title="${esc(say("light"))}">${MOON}</button>
  </nav></header>
  ${dialog("read", say("how"), `<dl>${paragraphs(["columns", "sees", "imagines", "errs", "says", "luck", "focus", "convention", "experts"])}</dl>`)}
  ${props.value.help ? dialog("help", say("does_it_help"), `<div class="fm-readme" lang="en">${props.value.help}</div>`) : ""}`;

element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-open]");
  if (button) element.querySelector(`[data-help=${button.dataset.open}]`).showModal();
  const box = event.target.closest("dialog");
  if (box && (event.target === box || event.target.closest("[data-close]"))) box.close();
  if (event.target.closest("[data-api]")) {
    const own = document.querySelector("footer .show-api"); // Gradio's, which needs no reload
    if (own) { event.preventDefault(); own.click(); }
  }
  if (event.target.closest("[data-light]")) {
    document.body.classList.toggle("dark");
    keep("light", dark() ? "dark" : "light");
  }
  if (event.target.closest("[data-language]")) {
    keep("language", other === "zh" ? "zh-CN" : "en");
    location.reload(); // the address holds the settings, the tab its upload
  }
});
document.addEventListener("focusmae-help", (event) => element.querySelector(`[data-help=${event.detail}]`)?.showModal());

// Gradio decides about light and dark while it starts: the reader's own choice comes after it.
if (kept("light")) document.body.classList.toggle("dark", kept("light") === "dark");
