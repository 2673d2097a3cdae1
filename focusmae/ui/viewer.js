// Behaviour: one result at a time, shown by all panes together; and what the server says in between.

part("legend").innerHTML = legend(["object", "detail", "motion", "context"]);
for (const i of [0, 1, 2]) part(`bars-${i}`).innerHTML = emptyBars();

function label(place, text) {
  root.querySelector(`[data-pane="${place}"]`).setAttribute("aria-label", text);
}

function showHeads(m) {
  const n = m.scores.length, k = m.arms[0].visible.length, [a, b] = m.arms;
  part("title").textContent = say("title_" + m.media, { k });
  part("lead").textContent = say("lead", { a: a.title, b: b?.title ?? "" });
  part("n-0").textContent = say("patches", { n });
  m.arms.forEach((arm, i) => {
    part(`arm-${i + 1}`).textContent = arm.title;
    part(`arm-${i + 1}`).title = arm.summary;
    part(`n-${i + 1}`).textContent = say("visible", { k: arm.visible.length });
    label(`sees:${i + 1}`, say("c_mask", { arm: arm.title, k: arm.visible.length, n }));
    label(`imagines:${i + 1}`, say("c_imagine", { arm: arm.title }));
    label(`errs:${i + 1}`, say("c_error", { arm: arm.title }));
  });
  label("sees:0", say("c_input", { n: m.segment_count }));
  label("imagines:0", say("c_importance"));
}

function show(m) {
  const before = view.m, fresh = !before || before.input !== m.input || before.labels.data !== m.labels.data;
  view.m = m;
  if (!before || before.input !== m.input || view.frame >= m.frames) view.frame = 0;
  if (!before || before.input !== m.input) view.zoom = { k: 1, x: 0, y: 0 };
  Object.assign(root.dataset, { state: "shown", run: ++view.runs, media: m.media, tokens: m.scores.length });
  showHeads(m);
  root.querySelector('[data-action="outlines"]').textContent = say("segments", { n: m.segment_count });
  for (const name of ["first", "importance", "third", "verdict", "classes", "mode", "focus"]) part(name).hidden = false;
  part("statistics").hidden = !m.arms.some((arm) => arm.normalised && arm.image_true);
  showClickable(m);
  showText(m, before);
  root.querySelector('[data-action="swipe"]').disabled = false;
  showScale();
  showSaid();
  part("verdict").innerHTML = verdict(m);
  part("legend").innerHTML = legend(m.experts);
  part("classes").querySelector("summary").textContent = say("how_classes", { n: m.classes.length });
  part("classes").querySelector("p").textContent = m.classes.join(", ");
  part("foot").innerHTML = foot(m);
  for (const film of parts(".fm-film")) film.hidden = m.frames < 2;
  adoptFocus(m, fresh);
  mark(NOTHING);
  showFocus();
  if (part("swipe").open) fillChoices();
  settle();
  press();
  paint();
  status(m.seconds ? say("done", { s: m.seconds.toFixed(2) }) : "", 1);
  if (m.frames < 2) play(false);
  else play(before && before.input === m.input ? view.playing !== null : !calm.matches);
}

// Where a segmenter takes clicks, a click can also draw a segment.
function showClickable(m) {
  const there = root.querySelector('[data-action="mode:draw"]');
  if (m.clickable && !there) part("mode").insertAdjacentHTML("beforeend", pill("mode:draw", "draw"));
  if (!m.clickable && there) there.remove();
  if (!m.clickable && view.mode === "draw") view.mode = "raise";
}

// A text has a layer of its own, which comes to the front with it.
function showText(m, before) {
  const there = m.phrases.length > 0;
  root.querySelector('[data-action="fit"]').hidden = !there;
  if (there && (before?.phrases ?? []).join() !== m.phrases.join()) view.third = "fit";
  if (!there && view.third === "fit") view.third = "experts";
  label("errs:0", there ? say("c_fit", { text: m.phrases.join("; ") }) : say("c_experts"));
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
    const turn = ++view.awaited, ready = await prepare(message);
    if (turn === view.awaited) show(ready);
  }
}

watch("value", receive);
receive();

const resized = new ResizeObserver(() => paint());
for (const box of [root.querySelector(".fm-grid"), part("stage")]) resized.observe(box);
new MutationObserver(() => paint()).observe(document.body, { attributes: true, attributeFilter: ["class"] });
