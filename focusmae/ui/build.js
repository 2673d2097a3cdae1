// Markup of the frame that stays while results come and go.

const ARM_CLASSES = ["fm-a", "fm-b"];
const PANES = ["sees", "imagines", "errs"];

const MARKS = `<svg class="fm-marks" preserveAspectRatio="none" aria-hidden="true">${
  ["raised", "lowered", "hovered"].map((kind) => `<path class="fm-rim fm-${kind}"/><path class="fm-line fm-${kind}"/>`).join("")}</svg>`;

function pane(row, column, extra = "") {
  return `<div class="fm-pane ${column === 0 ? "fm-all" : ""}" data-pane="${row}:${column}" tabindex="0" role="application"
    aria-describedby="fm-keys"><canvas aria-hidden="true"></canvas>${MARKS}<div class="fm-badges"></div>
    <div class="fm-cursor" hidden></div>${extra}</div>`;
}

// One of a group of choices, or a switch of its own.
function pill(action, key, pressed = false, help = key + "_help") {
  return `<button type="button" class="fm-pill" data-action="${action}" aria-pressed="${pressed}"
    title="${esc(say(help))}">${esc(say(key))}</button>`;
}

const group = (name, pills, label, hidden = "", caption = "") =>
  `<div class="fm-switch" data-part="${name}" role="group" aria-label="${esc(say(label))}" ${hidden}>${caption}${pills.join("")}</div>`;

function rowHead(key, extra = "") {
  return `<div class="fm-row"><b>${esc(say(key))}</b><span>${esc(say(key + "_note"))}</span>${extra}</div>`;
}

function tools() {
  const zoom = (action, mark) => `<button type="button" class="fm-tool" data-action="${action}" title="${esc(say(action))}"
    aria-label="${esc(say(action))}">${mark}</button>`;
  return `<div class="fm-tools">
    <button type="button" class="fm-fold" data-action="fold" aria-expanded="false">${esc(say("show_all"))}</button>
    <button type="button" class="fm-tool fm-wide" data-action="swipe" title="${esc(say("swipe_help"))}" disabled>${esc(say("swipe"))}</button>
    <span class="fm-zoom" role="group" aria-label="${esc(say("zoom"))}">${zoom("zoom_out", "−")}<button type="button"
      class="fm-tool fm-level" data-action="zoom_reset" data-part="level" title="${esc(say("zoom_reset"))}">1 ×</button>${zoom("zoom_in", "+")}</span>
  </div>`;
}

function film(place) {
  return `<div class="fm-film" data-part="film${place}" hidden>
    <button type="button" class="fm-play" data-action="play" aria-pressed="false"></button>
    <div class="fm-strip"><canvas aria-hidden="true"></canvas><div class="fm-now"></div>
      <input type="range" min="0" step="1" value="0" data-part="scrub${place}" aria-label="${esc(say("frames_label"))}"></div>
    <span class="fm-count" data-part="count${place}"></span>
  </div>`;
}

function segmentPanel() {
  return `<div class="fm-focus" data-part="focus" hidden>
    <h2>${esc(say("important"))}<button type="button" class="fm-link" data-action="reset_focus" hidden>${esc(say("reset_focus"))}</button></h2>
    <p data-part="segment-about"></p>
    <ul data-part="segment-list"></ul>
    <label class="fm-strength"><span>${esc(say("strength"))}</span><input type="range" min="0.5" max="8" step="0.5" data-part="strength">
      <output data-part="strength-value"></output></label>
  </div>`;
}

function swipeMarkup() {
  const choice = (side) => `<select data-part="swipe-${side}" aria-label="${esc(say("swipe_" + side))}"></select>`;
  return `<dialog class="fm-swipe" data-part="swipe" aria-label="${esc(say("swipe_help"))}">
    <div class="fm-swipe-head">${choice("left")}${choice("right")}
      <button type="button" class="fm-tool fm-close" data-action="close_swipe" title="${esc(say("close"))}" aria-label="${esc(say("close"))}">×</button></div>
    <div class="fm-stage" data-part="stage"><canvas aria-hidden="true"></canvas><div class="fm-cursor" hidden></div>
      <div class="fm-divider" data-part="divider" role="slider" tabindex="0" autofocus aria-label="${esc(say("swipe_divider"))}"
        aria-valuemin="0" aria-valuemax="100" aria-valuenow="50"></div></div>
    ${film("-swipe")}
  </dialog>`;
}

function frameMarkup() {
  const overlays = {
    sees: `<div class="fm-pills" data-part="first" hidden><button type="button" class="fm-pill" data-action="outlines"
      aria-pressed="true" title="${esc(say("outlines_help"))}"></button>${pill("colours", "colours")}</div>`,
    imagines: `<div class="fm-pills"><span class="fm-pill fm-still" data-part="importance" hidden>${esc(say("importance"))}</span></div>`,
    errs: `<div class="fm-pills" data-part="third" hidden>${pill("experts", "experts", true)}${pill("chance", "chance")}${pill("fit", "fit")}</div>
      <div class="fm-pills"><span class="fm-pill fm-still" data-part="difference-note" hidden>${esc(say("difference"))}</span></div>`,
  };
  const extras = {
    sees: group("mode", [pill("mode:raise", "raise", true), pill("mode:lower", "lower"), pill("mode:off", "off")], "mode", "hidden",
      `<small>${esc(say("on_click"))}</small>`),
    imagines: group("paste", [pill("pasted", "pasted", true), pill("alone", "alone")], "imagines")
      + group("statistics", [pill("truth", "truth")], "truth", "hidden"),
    errs: group("scales", [pill("scale:common", "common", true), pill("scale:own", "own"), pill("scale:difference", "difference")], "errs")
      + `<div class="fm-scale" data-part="scale"><span data-part="scale-note" hidden>${esc(say("errs_less"))}</span><i></i><small><span></span><span></span></small></div>`,
    says: group("combine", [pill("combine:mean", "mean", true), pill("combine:any", "any")], "says", "hidden"),
  };
  const rows = PANES.map((row) => rowHead(row, extras[row]) + pane(row, 0, overlays[row]) + pane(row, 1) + pane(row, 2));
  const column = (i, word) => `<div class="fm-head ${["fm-all", ...ARM_CLASSES][i]}"><i></i><b data-part="arm-${i}">${esc(say(word))}</b>
    <small data-part="n-${i}"></small></div>`;
  return `<section class="fm" data-state="empty">
  <div class="fm-middle">
    <h1 data-part="title">${esc(say("title_empty"))}</h1>
    <p class="fm-lead" data-part="lead">${esc(say("lead_empty"))}</p>
    <div class="fm-line-of-work">
      <div class="fm-status" data-part="status" role="status" aria-live="polite"><span data-part="status-text">${esc(say("ready"))}</span></div>
      ${tools()}
      <div class="fm-bar" data-part="progress"><i data-part="bar"></i></div>
    </div>
    ${film("")}
    <div class="fm-grid">
      <div class="fm-corner"></div>
      ${["everything", "left", "right"].map((word, i) => column(i, word)).join("")}
      ${rows.join("")}
      ${rowHead("says", extras.says)}
      ${[0, 1, 2].map((i) => `<div class="fm-bars ${["fm-all", ...ARM_CLASSES][i]}" data-part="bars-${i}"></div>`).join("")}
    </div>
  </div>
  <aside class="fm-side">
    <div class="fm-verdict" data-part="verdict" hidden></div>
    ${segmentPanel()}
    <div class="fm-how"><h2>${esc(say("how"))}</h2>
      <p>${esc(say("how_convention"))}</p>
      <p>${esc(say("how_experts"))}</p><ul class="fm-legend" data-part="legend"></ul>
      <p>${esc(say("how_error"))}</p>
      <details data-part="classes" hidden><summary></summary><p></p></details>
    </div>
  </aside>
  <footer class="fm-foot" data-part="foot"></footer>
  ${swipeMarkup()}
  <div class="fm-card" data-part="card" role="tooltip" hidden></div>
  <p class="fm-unseen" id="fm-keys">${esc(say("keys"))}</p>
  <p class="fm-unseen" data-part="live" aria-live="polite"></p>
</section>`;
}
