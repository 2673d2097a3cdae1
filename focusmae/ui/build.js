// Markup: the frame that stays, and the parts that are written anew for each result.

const language = (navigator.language || "en").toLowerCase().startsWith("zh") ? "zh" : "en";

function say(key, values = {}) {
  const text = WORDS[language][key] ?? WORDS.en[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

function esc(text) {
  const marks = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
  return String(text).replace(/[&<>"']/g, (mark) => marks[mark]);
}

const ARM_CLASSES = ["fm-a", "fm-b"];
const PANES = ["sees", "imagines", "errs"];

function pane(row, column, extra = "") {
  return `<div class="fm-pane ${column === 0 ? "fm-all" : ""}" data-pane="${row}:${column}">
    <canvas role="img" aria-label=""></canvas><div class="fm-cursor" hidden></div>${extra}</div>`;
}

function pill(action, key, help, pressed) {
  return `<button type="button" class="fm-pill" data-action="${action}" aria-pressed="${pressed}"
    title="${esc(say(help))}">${esc(say(key))}</button>`;
}

function rowHead(key, extra = "") {
  return `<div class="fm-row"><b>${esc(say(key))}</b><span>${esc(say(key + "_note"))}</span>${extra}</div>`;
}

function frameMarkup() {
  const overlays = {
    sees: `<div class="fm-pills"><button type="button" class="fm-pill" data-action="outlines" aria-pressed="true"
      title="${esc(say("outlines_help"))}" hidden></button></div>`,
    imagines: `<div class="fm-pills"><span class="fm-pill fm-still" data-part="importance" hidden>${esc(say("importance"))}</span></div>`,
    errs: `<div class="fm-pills" data-part="third" hidden>${pill("experts", "experts", "experts_help", true)}${
      pill("chance", "chance", "chance_help", false)}</div>`,
  };
  const extras = {
    sees: "",
    imagines: `<div class="fm-switch">${pill("pasted", "pasted", "pasted_help", true)}${
      pill("alone", "alone", "alone_help", false)}</div>`,
    errs: `<div class="fm-scale" data-part="scale"><i></i><small><span>0</span><span data-part="scale-end"></span></small></div>`,
  };
  const rows = PANES.map((row) => rowHead(row, extras[row]) + pane(row, 0, overlays[row]) + pane(row, 1) + pane(row, 2));
  return `<section class="fm" data-state="empty">
  <div class="fm-middle">
    <h1 data-part="title">${esc(say("title_empty"))}</h1>
    <p class="fm-lead" data-part="lead">${esc(say("lead_empty"))}</p>
    <div class="fm-status" data-part="status" role="status" aria-live="polite"><span data-part="status-text">${esc(say("ready"))}</span>
      <div class="fm-bar"><i data-part="bar"></i></div></div>
    <div class="fm-film" data-part="film" hidden>
      <button type="button" class="fm-play" data-action="play" aria-pressed="false"></button>
      <div class="fm-strip"><canvas data-part="strip" aria-hidden="true"></canvas><div class="fm-now" data-part="now"></div>
        <input type="range" min="0" step="1" value="0" data-part="scrub" aria-label="${esc(say("frames_label"))}"></div>
      <span class="fm-count" data-part="count"></span>
    </div>
    <button type="button" class="fm-fold" data-action="fold" aria-expanded="false">${esc(say("show_all"))}</button>
    <div class="fm-grid">
      <div class="fm-corner"></div>
      <div class="fm-head fm-all"><i></i><b>${esc(say("everything"))}</b><small data-part="n-0"></small></div>
      <div class="fm-head fm-a"><i></i><b data-part="arm-1">${esc(say("left"))}</b><small data-part="n-1"></small></div>
      <div class="fm-head fm-b"><i></i><b data-part="arm-2">${esc(say("right"))}</b><small data-part="n-2"></small></div>
      ${rows.join("")}
      ${rowHead("says")}
      <div class="fm-bars fm-all" data-part="bars-0"></div>
      <div class="fm-bars fm-a" data-part="bars-1"></div>
      <div class="fm-bars fm-b" data-part="bars-2"></div>
    </div>
  </div>
  <aside class="fm-side">
    <div class="fm-verdict" data-part="verdict" hidden></div>
    <div class="fm-how"><h2>${esc(say("how"))}</h2>
      <p>${esc(say("how_convention"))}</p>
      <p>${esc(say("how_experts"))}</p><ul class="fm-legend" data-part="legend"></ul>
      <p>${esc(say("how_error"))}</p>
      <details data-part="classes" hidden><summary></summary><p></p></details>
    </div>
  </aside>
  <footer class="fm-foot" data-part="foot"></footer>
  <div class="fm-card" data-part="card" role="tooltip" hidden></div>
</section>`;
}

function bars(prediction, first) {
  const rows = prediction.map(({ label, probability }, place) => `<li class="${label === first ? "fm-same" : ""}${place > 2 ? " fm-minor" : ""}">
    <span>${esc(label)}</span><em>${probability.toFixed(2)}</em><i style="width:${(100 * clamp(probability)).toFixed(1)}%"></i></li>`);
  return `<ol>${rows.join("")}</ol>`;
}

const emptyBars = () => `<ol>${"<li><span></span><em></em><i></i></li>".repeat(5)}</ol>`;

// As few digits as tell the arms apart.
function figures(key, values, better) {
  if (key === "agreement") return values.map((value) => say(value > 0.5 ? "yes" : "no"));
  const shown = key === "p_class" ? values : values.map(Math.sqrt);
  let digits = key === "p_class" ? 2 : 3;
  while (better !== null && digits < 6 && new Set(shown.map((value) => value.toFixed(digits))).size < shown.length) digits++;
  return shown.map((value) => value.toFixed(digits));
}

function verdict(m) {
  const rows = m.verdict.map(({ key, values, better }) => {
    const name = say("v_" + key, { label: m.full[0]?.label ?? "" }), note = say("v_" + key + "_note");
    const judged = better === null ? say("tie") : say("better", { arm: m.arms[better].title });
    const [a, b] = figures(key, values, better);
    const right = b === undefined ? "" : ` <span class="fm-to">→</span> <b class="fm-b">${esc(b)}</b>`;
    return `<li><span class="fm-what">${esc(name)}${note ? `<small>${esc(note)}</small>` : ""}</span>
      <span class="fm-values"><b class="fm-a">${esc(a)}</b>${right}</span>
      <span class="fm-judged ${better === null ? "" : ARM_CLASSES[better]}">${esc(judged)}</span></li>`;
  });
  return `<h2>${esc(say("verdict", { kind: say("kind_" + m.media) }))}</h2><ul>${rows.join("")}</ul>
    <p>${esc(say("luck"))}</p>`;
}

function legend(names) {
  return names.map((name, i) => `<li><i style="background:${rgb(EXPERT_COLOURS[i])}"></i>${esc(say("expert_" + name))}</li>`).join("");
}

function foot(m) {
  const part = (title, body) => `<div><b>${esc(title)}</b>${body}</div>`;
  const weights = m.weights.map((w) => {
    const hash = w.sha256 ? `<code title="SHA-256 ${esc(w.sha256)}">${esc(w.sha256.slice(0, 10))}</code>` : "";
    return `<span>${esc(w.role)}: ${esc([w.name, w.revision, w.licence].filter(Boolean).join(" · "))} ${hash}</span>`;
  });
  const steps = Object.entries(m.timings).map(([step, s]) => `${say("step_" + step)} ${Math.round(1000 * s)} ms`);
  return part(say("weights"), weights.join("") || `<span>${esc(say("untracked"))}</span>`)
    + part(say("timings"), `<span>${esc(steps.join(" · "))}</span>`)
    + part(say("device"), `<span>${esc(m.device)}</span>`)
    + part(say("limits"), `<span>${esc(m.limits)}</span>`)
    + part(say("privacy_title"), `<span>${esc(say("privacy"))}</span>`)
    + m.warnings.map((line) => part(say("note"), `<span>${esc(line)}</span>`)).join("");
}

// The card beside the pointer: all that is known of one token.
function card(m, token) {
  const count = m.experts.length, shares = m.gates.slice(token * count, (token + 1) * count);
  const order = [...shares.keys()].sort((a, b) => shares[b] - shares[a]).slice(0, 2);
  const segment = m.token_segment[token], line = (name, value, mark = "") =>
    `<div><span class="${mark}">${esc(name)}</span><b>${esc(value)}</b></div>`;
  const experts = order.map((e) => say("expert_" + m.experts[e])).join(" · ");
  return `<strong>${esc(segment ? say("card_segment", { i: segment, n: m.segment_count }) : say("card_none"))}</strong>`
    + line(say("card_score"), m.scores[token].toFixed(2))
    + line(say("card_chance"), `${Math.round(100 * m.chance[token])} %`)
    + line(experts, order.map((e) => Math.round(100 * shares[e])).join(" · ") + " %")
    + m.arms.map((arm, i) => line(say("card_error", { arm: arm.title }),
      arm.seen.has(token) ? say("card_visible") : arm.error[token].toFixed(3), ARM_CLASSES[i])).join("");
}
