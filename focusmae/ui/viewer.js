// Behaviour: one result at a time, shown by all panes together. Runs once, with element, props, trigger and watch.

element.innerHTML = frameMarkup();
const root = element.querySelector(".fm");
const part = (name) => root.querySelector(`[data-part="${name}"]`);
const still = matchMedia("(prefers-reduced-motion: reduce)");
const view = { m: null, frame: 0, token: null, playing: null, pasted: true, chance: false, outlined: true, awaited: 0, runs: 0 };

part("legend").innerHTML = legend(["object", "detail", "motion", "context"]);
for (const i of [0, 1, 2]) part(`bars-${i}`).innerHTML = emptyBars();

// --- drawing ---------------------------------------------------------------------------------------------------

function paper() {
  const style = getComputedStyle(root);
  return { fill: style.getPropertyValue("--fm-paper").trim(), line: style.getPropertyValue("--fm-paper-line").trim() };
}

function fit(canvas) {
  const ratio = devicePixelRatio || 1, wide = Math.round(canvas.clientWidth * ratio), high = Math.round(canvas.clientHeight * ratio);
  if (canvas.width !== wide || canvas.height !== high) { canvas.width = wide; canvas.height = high; }
  return canvas.width > 0 && canvas.height > 0;
}

const DRAW = {
  "sees:0": (ctx, size, m) => drawInput(ctx, size, m, view.frame, view.outlined),
  "imagines:0": (ctx, size, m) => drawSpotlight(ctx, size, m, view.frame),
  "errs:0": (ctx, size, m) => (view.chance ? drawChance : drawExperts)(ctx, size, m, view.frame),
  sees: (ctx, size, m, arm) => drawMask(ctx, size, m, arm, view.frame, paper()),
  imagines: (ctx, size, m, arm) => drawImagined(ctx, size, m, arm, view.frame, view.pasted),
  errs: (ctx, size, m, arm) => drawError(ctx, size, m, arm, view.frame),
};

function paint() {
  const m = view.m;
  if (!m) return;
  for (const box of root.querySelectorAll(".fm-pane")) {
    const canvas = box.firstElementChild, [row, column] = box.dataset.pane.split(":");
    const arm = m.arms[column - 1];
    if (!fit(canvas) || (column !== "0" && !arm)) continue;
    (DRAW[box.dataset.pane] || DRAW[row])(canvas.getContext("2d"), canvas.width, m, arm);
  }
  paintFilm(m);
}

function paintFilm(m) {
  part("film").hidden = m.frames < 2;
  if (m.frames < 2) return;
  const strip = part("strip");
  if (fit(strip)) drawStrip(strip.getContext("2d"), strip.width, strip.height, m);
  part("now").style.width = `${100 / m.frames}%`;
  part("now").style.left = `${100 * view.frame / m.frames}%`;
  part("scrub").max = m.frames - 1;
  part("scrub").value = view.frame;
  part("count").textContent = say("frame", { i: view.frame + 1, n: m.frames });
  root.dataset.frame = view.frame;
}

// --- a result --------------------------------------------------------------------------------------------------

function show(m) {
  const fresh = !view.m || view.m.input !== m.input;
  view.m = m;
  if (fresh || view.frame >= m.frames) view.frame = 0;
  const n = m.scores.length, k = m.arms[0].visible.length, [a, b] = m.arms;
  root.dataset.state = "shown";
  root.dataset.run = ++view.runs;
  root.dataset.media = m.media;
  root.dataset.tokens = n;
  part("title").textContent = say("title_" + m.media, { k });
  part("lead").textContent = say("lead", { a: a.title, b: b?.title ?? "" });
  part("n-0").textContent = say("patches", { n });
  m.arms.forEach((arm, i) => {
    part(`arm-${i + 1}`).textContent = arm.title;
    part(`arm-${i + 1}`).title = arm.summary;
    part(`n-${i + 1}`).textContent = say("visible", { k: arm.visible.length });
    part(`bars-${i + 1}`).innerHTML = bars(arm.prediction, m.full[0]?.label);
    label(`sees:${i + 1}`, say("c_mask", { arm: arm.title, k: arm.visible.length, n }));
    label(`imagines:${i + 1}`, say("c_imagine", { arm: arm.title }));
    label(`errs:${i + 1}`, say("c_error", { arm: arm.title }));
  });
  part("bars-0").innerHTML = bars(m.full, m.full[0]?.label);
  label("sees:0", say("c_input", { n: m.segment_count }));
  label("imagines:0", say("c_importance"));
  label("errs:0", say("c_experts"));
  const outlines = root.querySelector('[data-action="outlines"]');
  outlines.textContent = say("segments", { n: m.segment_count });
  for (const hidden of [outlines, part("importance"), part("third"), part("verdict"), part("classes")]) hidden.hidden = false;
  part("scale-end").textContent = m.error_scale.toFixed(2);
  part("verdict").innerHTML = verdict(m);
  part("legend").innerHTML = legend(m.experts);
  part("classes").querySelector("summary").textContent = say("how_classes", { n: m.classes.length });
  part("classes").querySelector("p").textContent = m.classes.join(", ");
  part("foot").innerHTML = foot(m);
  part("film").hidden = m.frames < 2;
  noteBudget();
  status(say("done", { s: m.seconds.toFixed(2) }), 1);
  paint();
  mark(null);
  if (m.frames < 2) play(false);
  else if (fresh) play(!still.matches);
  else play(view.playing !== null);
}

function label(place, text) {
  root.querySelector(`[data-pane="${place}"] canvas`).setAttribute("aria-label", text);
}

function status(text, fraction, mood = "calm") {
  part("status").dataset.mood = mood;
  part("status-text").textContent = text;
  part("bar").style.width = `${100 * fraction}%`;
}

// --- messages from the server ----------------------------------------------------------------------------------

async function receive() {
  const message = props.value;
  if (!message || !message.kind || (message.run && message.run === view.stopped)) return;
  if (message.kind === "cancelled") view.stopped = view.run; // what is still on its way from that run comes too late
  view.run = message.run ?? view.run;
  root.classList.toggle("fm-busy", message.kind === "progress");
  if (message.kind === "progress") {
    const step = say("step_" + message.step), { index, count } = message;
    status(index ? say("step_of", { i: index, n: count, step }) : `${step} …`, message.fraction, "busy");
  } else if (message.kind === "error") {
    status(message.text || say("failed"), 0, "error");
  } else if (message.kind === "cancelled") {
    status(say(view.m ? "cancelled" : "cancelled_empty"), 0);
  } else if (message.kind === "result" && message.run !== view.received) {
    view.received = message.run; // the value may be announced twice
    const turn = ++view.awaited, ready = await decode(message);
    if (turn === view.awaited) show(ready);
  }
}

watch("value", receive);
receive();

// --- the budget beside the slider ------------------------------------------------------------------------------

function noteBudget() {
  const range = document.querySelector("#keep input[type=range]"), place = document.querySelector("#keep .head label");
  if (!range || !place) return;
  const note = place.querySelector(".fm-note") || place.appendChild(Object.assign(document.createElement("span"), { className: "fm-note" }));
  const n = Number(root.dataset.tokens || 196);
  note.textContent = say("of_patches", { k: Math.max(1, Math.floor(n * range.value / 100 + 1e-9)), n });
}

document.addEventListener("input", (event) => event.target.closest?.("#keep") && noteBudget());
// Gradio's slider reports a release of the pointer only; keys count as well.
document.addEventListener("keyup", (event) => {
  const keys = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown", "Enter"];
  if (!event.target.closest?.("#keep") || !keys.includes(event.key)) return;
  clearTimeout(view.keyed);
  view.keyed = setTimeout(() => document.querySelector("#compare").click(), 250);
});
setTimeout(noteBudget, 300);

// --- frames ----------------------------------------------------------------------------------------------------

function step(to) {
  const m = view.m;
  if (!m || m.frames < 2) return;
  view.frame = (to + m.frames) % m.frames;
  paint();
  if (view.token !== null) part("card").innerHTML = card(m, slice(m, view.frame).first + view.token);
}

function play(on) {
  clearInterval(view.playing);
  view.playing = on ? setInterval(() => step(view.frame + 1), clamp(view.m.delay, 80, 400)) : null;
  const button = root.querySelector('[data-action="play"]');
  button.setAttribute("aria-pressed", String(on));
  button.setAttribute("aria-label", say(on ? "pause" : "play"));
  button.title = say(on ? "pause" : "play");
}

part("scrub").addEventListener("input", (event) => { play(false); step(Number(event.target.value)); });

document.addEventListener("keydown", (event) => {
  if (!root.isConnected || !view.m || view.m.frames < 2 || event.altKey || event.ctrlKey || event.metaKey) return;
  // wherever the focus is, unless the keys have a meaning there
  if (event.target.closest?.("input,textarea,select,[contenteditable],[role=listbox]") && event.target !== part("scrub")) return;
  if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
    play(false);
    step(view.frame + (event.key === "ArrowRight" ? 1 : -1));
  } else if (event.key === " " && !event.target.closest?.("button,summary,a,label")) {
    play(view.playing === null);
  } else return;
  event.preventDefault();
});

// --- switches --------------------------------------------------------------------------------------------------

const press = (action, on) => root.querySelector(`[data-action="${action}"]`).setAttribute("aria-pressed", String(on));

const ACTIONS = {
  play: () => play(view.playing === null),
  pasted: () => { view.pasted = true; },
  alone: () => { view.pasted = false; },
  experts: () => { view.chance = false; },
  chance: () => { view.chance = true; },
  outlines: () => { view.outlined = !view.outlined; },
  fold: (button) => {
    const open = root.classList.toggle("fm-open");
    button.setAttribute("aria-expanded", String(open));
    button.textContent = say(open ? "hide_all" : "show_all");
  },
};

root.addEventListener("click", (event) => {
  const button = event.target.closest("[data-action]");
  if (!button || (!view.m && button.dataset.action !== "fold")) return;
  ACTIONS[button.dataset.action](button);
  press("pasted", view.pasted);
  press("alone", !view.pasted);
  press("experts", !view.chance);
  press("chance", view.chance);
  press("outlines", view.outlined);
  paint();
});

// --- one token, marked in all panes ----------------------------------------------------------------------------

function mark(place, x = 0, y = 0) {
  view.token = place;
  const m = view.m, box = part("card");
  box.hidden = place === null;
  for (const cursor of root.querySelectorAll(".fm-cursor")) {
    cursor.hidden = place === null;
    if (place === null) continue;
    const { h, w } = slice(m, view.frame);
    cursor.style.cssText = `width:${100 / w}%;height:${100 / h}%;left:${100 * (place % w) / w}%;top:${100 * Math.floor(place / w) / h}%`;
  }
  if (place === null) return;
  box.innerHTML = card(m, slice(m, view.frame).first + place);
  const left = x + 18 + box.offsetWidth > innerWidth ? x - 18 - box.offsetWidth : x + 18;
  box.style.left = `${Math.max(6, left)}px`;
  box.style.top = `${clamp(y + 14, 6, Math.max(6, innerHeight - box.offsetHeight - 6))}px`;
}

function point(event) {
  const canvas = event.target.closest(".fm-pane canvas");
  if (!canvas || !view.m) return mark(null);
  const area = canvas.getBoundingClientRect(), { h, w } = slice(view.m, view.frame);
  const column = clamp(Math.floor((event.clientX - area.left) / area.width * w), 0, w - 1);
  const row = clamp(Math.floor((event.clientY - area.top) / area.height * h), 0, h - 1);
  mark(row * w + column, event.clientX, event.clientY);
}

root.addEventListener("pointermove", point);
root.addEventListener("pointerdown", point);
root.addEventListener("pointerleave", () => mark(null));
addEventListener("scroll", () => view.token !== null && mark(null), { passive: true });

new ResizeObserver(() => paint()).observe(root.querySelector(".fm-grid"));
new MutationObserver(() => paint()).observe(document.body, { attributes: true, attributeFilter: ["class"] });
