// Evidence, not luck: paired differences over many draws as dots, and both arms along the keep ratio as curves.
// Runs once, with element, props and watch; the panel stands beside the verdict on one draw.

const { whenViewer } = window.focusmae;
const MEASURES = ["p_class", "agreement", "heldout_mse"];
const CURVES = ["p_class", "heldout_mse"];
const WIDE = 320, ROW = 34, CURVE = 132;
const panel = { m: null, curve: "p_class" };

const root = document.createElement("section");
root.className = "fm-evidence";
root.innerHTML = `<div data-part="luck"></div><div data-part="curve"></div>`;
element.append(root);
whenViewer((viewer) => {
  const verdict = viewer.querySelector(".fm-verdict");
  if (verdict) verdict.after(root); // one column for all that judges
});

const better = (key, difference) => (key === "heldout_mse" ? -difference : difference);
const shown = (key, value) => (key === "agreement" ? value.toFixed(2) : Math.abs(value) >= 0.01 ? value.toFixed(3) : value.toFixed(4));
const signed = (key, value) => (value > 0 ? "+" : value < 0 ? "−" : "") + shown(key, Math.abs(value));

// --- one dot per draw ------------------------------------------------------------------------------------------

// Dots that would overlap step aside, up and down first, then along the line.
function places(values, x, radius) {
  const put = [], free = (cx, cy) => !put.some((p) => (p[0] - cx) ** 2 + (p[1] - cy) ** 2 < (1.8 * radius) ** 2);
  const steps = [0, 1, -1, 2, -2, 3, -3, 4, -4, 5, -5];
  const tries = steps.flatMap((dx) => [0, -1, 1].map((dy) => [1.9 * radius * dx, 1.9 * radius * dy]));
  return values.map((value) => {
    const [dx, dy] = tries.find(([dx, dy]) => free(x(value) + dx, dy)) ?? [0, 0];
    put.push([x(value) + dx, dy]);
    return put.at(-1);
  });
}

function strip(key, measure) {
  const values = measure.differences.map((d) => better(key, d)), { mean, low, high } = measure;
  const reach = Math.max(1e-9, ...values.map(Math.abs), ...(mean === undefined ? [] : [better(key, low), better(key, high)].map(Math.abs)));
  const middle = WIDE / 2, x = (value) => middle + value / reach * (middle - 10);
  const dots = places(values, x, 4).map(([cx, cy], i) => `<circle cx="${cx.toFixed(1)}" cy="${(ROW / 2 + cy).toFixed(1)}" r="4"
    class="${values[i] > 0 ? "fm-b" : values[i] < 0 ? "fm-a" : "fm-even"}"/>`);
  let bar = "";
  if (mean !== undefined) {
    const ends = [better(key, low), better(key, high)].map(x).sort((a, b) => a - b), at = x(better(key, mean));
    bar = `<path class="fm-interval" d="M${ends[0].toFixed(1)} ${ROW / 2}H${ends[1].toFixed(1)}M${at.toFixed(1)} ${ROW / 2 - 8}v16"/>`;
  }
  return `<svg viewBox="0 0 ${WIDE} ${ROW}" aria-hidden="true"><path class="fm-zero" d="M${middle} 0V${ROW}"/>${dots.join("")}${bar}</svg>`;
}

function judged(key, measure, arms) {
  const { mean, low, high } = measure;
  if (mean === undefined) return ["", "fm-even"];
  if (measure.differences.every((difference) => difference === 0)) return [say("equal_here"), "fm-even"];
  const [worst, best] = [better(key, low), better(key, high)].sort((a, b) => a - b);
  if (worst > 0) return [say("better_here", { arm: arms[1] }), "fm-b"];
  if (best < 0) return [say("better_here", { arm: arms[0] }), "fm-a"];
  return [say("undecided"), "fm-even"];
}

function luck(m) {
  const done = m.seeds.length, arms = m.arms.map((arm) => arm.title);
  const rows = MEASURES.map((key) => {
    const measure = m.measures.find((row) => row.key === key);
    if (!measure) return `<li><div class="fm-strip-head"><b>${esc(say(`e_${key}`))}</b></div><svg viewBox="0 0 ${WIDE} ${ROW}"></svg></li>`;
    const [text, mark] = judged(key, measure, arms);
    const figures = measure.mean === undefined ? "" : `${signed(key, measure.mean)} <small>[${signed(key, measure.low)}, ${signed(key, measure.high)}]</small>`;
    return `<li><div class="fm-strip-head"><b>${esc(say(`e_${key}`))}</b><span>${figures}</span></div>
      ${strip(key, measure)}<em class="${mark}">${esc(text)}&nbsp;</em></li>`;
  });
  return `<h2>${esc(say("luck_title"))}<small>${esc(say("draws", { i: done, n: m.total }))}</small></h2>
    <p>${esc(say("luck_note", { kind: say(`kind_${m.media}`), a: arms[0], b: arms[1] }))}</p>
    <ul>${rows.join("")}</ul><p class="fm-ends"><span class="fm-a">← ${esc(say("ahead", { arm: arms[0] }))}</span><span class="fm-b">${
      esc(say("ahead", { arm: arms[1] }))} →</span></p>
    <p><button type="button" class="fm-link" data-more>${esc(say("other_inputs"))}</button></p>`;
}

// --- how little is enough --------------------------------------------------------------------------------------

function curve(m) {
  const key = panel.curve, points = [...m.curve].filter((p) => p.arms.every((arm) => arm[key])).sort((a, b) => a.keep - b.keep);
  const root = (v) => (key === "heldout_mse" ? Math.sqrt(v) : v);
  const left = 34, right = 8, top = 8, bottom = 20;
  const x = (keep) => left + (keep - 0.05) / 0.85 * (WIDE - left - right);
  const most = key === "p_class" ? 1 : Math.max(1e-9, ...points.flatMap((p) => p.arms.map((arm) => root(arm[key][2]))));
  const y = (value) => CURVE - bottom - value / most * (CURVE - top - bottom);
  const dot = (p, a, i) => `${x(p.keep).toFixed(1)} ${y(root(p.arms[a][key][i])).toFixed(1)}`;
  const lines = [0, 1].map((a) => {
    if (!points.length) return "";
    const band = [...points.map((p) => dot(p, a, 2)), ...[...points].reverse().map((p) => dot(p, a, 1))].join("L");
    return `<g class="${a ? "fm-b" : "fm-a"}"><path class="fm-band" d="M${band}Z"/><path class="fm-line-of" d="M${points.map((p) => dot(p, a, 0)).join("L")}"/>
      ${points.map((p) => `<circle cx="${dot(p, a, 0).split(" ")[0]}" cy="${dot(p, a, 0).split(" ")[1]}" r="2.6"/>`).join("")}</g>`;
  });
  const ticks = [0, most / 2, most].map((v) => `<path class="fm-tick" d="M${left} ${y(v).toFixed(1)}H${WIDE - right}"/>
    <text x="${left - 6}" y="${(y(v) + 4).toFixed(1)}" text-anchor="end">${v.toFixed(v && most < 0.1 ? 3 : most === 1 ? 1 : 2)}</text>`);
  const marks = [0.05, 0.25, 0.5, 0.75, 0.9].map((v) => `<text x="${x(v).toFixed(1)}" y="${CURVE - 4}" text-anchor="middle">${Math.round(100 * v)}</text>`);
  const here = `<path class="fm-here" d="M${x(m.keep).toFixed(1)} ${top}V${CURVE - bottom}"/>`;
  const choices = CURVES.map((name) => `<button type="button" class="fm-pill" data-curve="${name}" aria-pressed="${name === key}">${esc(say(`c_${name}`))}</button>`);
  const table = `<table class="fm-unseen"><caption>${esc(say("curve_title"))}: ${esc(say(`c_${key}`))}</caption>
    <tr><th>${esc(say("keep"))}</th>${m.arms.map((arm) => `<th>${esc(arm.title)}</th>`).join("")}</tr>
    ${points.map((p) => `<tr><th>${Math.round(100 * p.keep)} %</th>${p.arms.map((arm) => `<td>${root(arm[key][0]).toFixed(3)}</td>`).join("")}</tr>`).join("")}</table>`;
  return `<h2>${esc(say("curve_title"))}</h2><p>${esc(say("curve_note", { n: m.curve_seeds }))}</p>
    <div class="fm-choices" role="group" aria-label="${esc(say("curve_title"))}">${choices.join("")}</div>
    <svg viewBox="0 0 ${WIDE} ${CURVE}" aria-hidden="true">${ticks.join("")}${marks.join("")}${here}${lines.join("")}</svg>${table}
    <p class="fm-axis">${esc(say("curve_axis"))}</p>`;
}

// --- messages --------------------------------------------------------------------------------------------------

function draw() {
  const m = panel.m;
  root.classList.toggle("fm-waiting", !m || m.seeds.length === 0);
  root.hidden = !m;
  if (!m) return;
  const focused = document.activeElement?.dataset?.curve;
  root.querySelector("[data-part=luck]").innerHTML = luck(m);
  root.querySelector("[data-part=curve]").innerHTML = curve(m);
  root.dataset.draws = m.seeds.length;
  root.dataset.points = m.curve.length;
  if (focused) root.querySelector(`[data-curve=${focused}]`).focus();
}

root.addEventListener("click", (event) => {
  const choice = event.target.closest("[data-curve]");
  if (choice) { panel.curve = choice.dataset.curve; draw(); }
  if (event.target.closest("[data-more]")) document.dispatchEvent(new CustomEvent("focusmae-help", { detail: "help" }));
});

function receive() {
  panel.m = props.value ?? null;
  draw();
}
watch("value", receive);
receive();
