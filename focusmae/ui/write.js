// The parts that are written anew for each result, as markup.

function bars(prediction, first) {
  const rows = prediction.map(({ label, probability }, place) => `<li class="${label === first ? "fm-same" : ""}${place > 2 ? " fm-minor" : ""}">
    <span>${esc(label)}</span><em>${probability.toFixed(2)}</em><i style="width:${(100 * clamp(probability)).toFixed(1)}%"></i></li>`);
  return `<ol>${rows.join("")}</ol>`;
}

const emptyBars = () => `<ol>${"<li><span></span><em></em><i></i></li>".repeat(5)}</ol>`;

// What one column says of every view: when, which crop, and the likeliest label.
function viewList(m, arm, first) {
  const crops = 1 + Math.max(...m.views.map((v) => v.crop));
  const rows = m.views.map((v) => {
    const [best] = arm === null ? v.full : v.strategies[arm.name];
    const when = m.media === "clip" ? `${v.times[0].toFixed(1)}–${v.times.at(-1).toFixed(1)} s` : "";
    const crop = crops > 1 ? say("crop", { i: v.crop + 1, n: crops }) : "";
    return `<li class="${best.label === first ? "fm-same" : ""}"><small>${esc([when, crop].filter(Boolean).join(" · "))}</small>
      <span>${esc(best.label)}</span><em>${best.probability.toFixed(2)}</em></li>`;
  });
  return `<ul class="fm-views" tabindex="0" aria-label="${esc(say("views", { n: m.views.length }))}">${rows.join("")}</ul>`;
}

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

// One line per segment: a click raises it, the small button lowers it.
function segmentRows(m, rows, focus) {
  return rows.map(({ id, area, chance, phrase }) => {
    const sign = focus.get(id) ?? 0, name = [say("segment", { i: id }), phrase].filter(Boolean).join(" · "), state = sign ? say(sign > 0 ? "raised" : "lowered") : "";
    return `<li data-segment="${id}" class="${sign ? (sign > 0 ? "fm-up" : "fm-down") : ""}">
      <button type="button" class="fm-segment" data-touch="1" aria-pressed="${sign > 0}" title="${esc(say("raise_segment", { i: id }))}">
        <canvas width="72" height="72" aria-hidden="true"></canvas>
        <span>${esc(name)}<small>${esc(state || say("area", { p: percent(area) }))}</small></span>
        <em>${percent(chance)} %</em><b aria-hidden="true">+</b><i style="width:${(100 * clamp(chance)).toFixed(1)}%;background:${rgb(segmentColour(m, id))}"></i></button>
      <button type="button" class="fm-less" data-touch="-1" aria-pressed="${sign < 0}" aria-label="${esc(say("lower_segment", { i: id }))}"
        title="${esc(say("lower_segment", { i: id }))}">−</button></li>`;
  }).join("");
}

const percent = (share) => (share > 0 && share < 0.0095 ? (100 * share).toFixed(1) : String(Math.round(100 * share)));

const duration = (seconds) => (seconds < 1 ? `${Math.round(1000 * seconds)} ms` : `${seconds.toFixed(1)} s`);

function foot(m) {
  const part = (title, body) => `<div><b>${esc(title)}</b>${body}</div>`;
  const weights = m.weights.map((w) => {
    const hash = w.sha256 ? `<code title="SHA-256 ${esc(w.sha256)}">${esc(w.sha256.slice(0, 10))}</code>` : "";
    return `<span>${esc(w.role)}: ${esc([w.name, w.revision, w.licence].filter(Boolean).join(" · "))} ${hash}</span>`;
  });
  const steps = Object.entries(m.timings).map(([step, s]) => `${say("step_" + step)} ${duration(s)}`);
  return part(say("weights"), weights.join("") || `<span>${esc(say("untracked"))}</span>`)
    + part(say("timings"), `<span>${esc(steps.join(" · "))}</span>`)
    + part(say("device"), `<span>${esc(m.device)}</span>`)
    + part(say("limits"), `<span>${esc(m.limits)}</span>`)
    + part(say("privacy_title"), `<span>${esc(say("privacy"))}</span>`)
    + m.warnings.map((line) => part(say("note"), `<span>${esc(line)}</span>`)).join("");
}
