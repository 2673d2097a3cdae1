// Touch the focus: segments that the visitor raises or lowers, and the list of those that matter most.

const LISTED = 6;
const QUIET = 250; // milliseconds without another change before a run is asked for

const wish = () => [...view.focus].sort(([a], [b]) => a - b).map(([id, sign]) => [id, sign * view.strength]);

// The same touch again takes it back. No segment (0): nothing happens.
function touchSegment(id, sign) {
  if (!view.m.row[id]) return;
  if (view.focus.get(id) === sign) view.focus.delete(id);
  else view.focus.set(id, sign);
  wished();
}

function wished() {
  view.owed = true;
  showFocus();
  clearTimeout(view.asking);
  view.asking = setTimeout(() => trigger("focus", { focus: wish() }), QUIET);
}

// A click on a picture: in the first column it touches the segment there, or says what a segment shall hold.
function clickPicture({ box, x, y }, turned) {
  if (!box.dataset.pane.endsWith(":0") || view.mode === "off") return;
  if (view.mode === "draw") return trigger("click", { x, y, label: turned ? 0 : 1, frame: view.frame });
  touchSegment(segmentAt(view.m, view.frame, x, y), (view.mode === "lower") !== turned ? -1 : 1);
}

// What the server computed with, unless a newer wish is still on its way.
function adoptFocus(m, fresh) {
  const same = JSON.stringify(m.focus) === JSON.stringify(wish());
  if (same || fresh) view.owed = false;
  if (same || view.owed) return;
  clearTimeout(view.asking);
  view.focus = new Map(m.focus.map(([id, change]) => [id, Math.sign(change)]));
  if (m.focus.length) view.strength = Math.max(...m.focus.map(([, change]) => Math.abs(change)));
}

function showFocus() {
  const m = view.m, rows = mostImportant(m, LISTED, view.focus), list = part("segment-list"), held = document.activeElement?.dataset?.touch;
  const heldRow = list.contains(document.activeElement) ? document.activeElement.closest("li").dataset.segment : null;
  list.innerHTML = segmentRows(m, rows, view.focus);
  rows.forEach((row, i) => drawThumb(list.children[i].querySelector("canvas").getContext("2d"), 72, m, row.id));
  if (heldRow) list.querySelector(`[data-segment="${heldRow}"] [data-touch="${held}"]`)?.focus();
  const seconds = m.segment_seconds, about = { source: m.segment_source, n: m.segment_count, time: duration(seconds) };
  part("segment-about").textContent = `${say(seconds ? "segments_in" : "segments_of", about)} ${say("touch_hint")}`;
  root.querySelector('[data-action="reset_focus"]').hidden = !view.focus.size;
  part("strength").value = view.strength;
  showStrength();
  placeMarks();
}

function showStrength() {
  const times = Math.exp(view.strength), text = say("times", { x: times < 9.5 ? times.toFixed(1) : Math.round(times) });
  part("strength-value").textContent = text;
  part("strength").setAttribute("aria-valuetext", text);
}

part("strength").addEventListener("input", (event) => { view.strength = Number(event.target.value); showStrength(); });
part("strength").addEventListener("change", () => view.focus.size && wished());

const list = part("segment-list");
list.addEventListener("click", (event) => {
  const button = event.target.closest("[data-touch]");
  if (button) touchSegment(Number(button.closest("li").dataset.segment), event.shiftKey ? -1 : Number(button.dataset.touch));
});
for (const kind of ["pointerover", "focusin"]) {
  list.addEventListener(kind, (event) => {
    const row = event.target.closest("li");
    if (row) mark({ token: null, segment: Number(row.dataset.segment), by: "list" });
  });
}
for (const kind of ["pointerleave", "focusout"]) list.addEventListener(kind, () => view.marked.by === "list" && mark(NOTHING));
