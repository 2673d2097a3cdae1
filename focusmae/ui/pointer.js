// One token and one segment, marked in all panes: by the pointer, by the keys, or from the list of segments.

const NOTHING = { token: null, segment: 0, by: null };
const sharing = () => parts(".fm-pane, .fm-stage");

// Where an event stands: the pane, and the place in the picture as shares of its width and height; null outside.
function locate(event) {
  const box = event.target.closest?.(".fm-pane, .fm-stage");
  if (!box || !view.m || event.target.closest("button")) return null;
  const area = box.getBoundingClientRect(), { k, x, y } = view.zoom;
  const u = clamp((event.clientX - area.left) / area.width), v = clamp((event.clientY - area.top) / area.height);
  return { box, u, v, x: clamp(x + u / k), y: clamp(y + v / k) };
}

function tokenAt(x, y) {
  const { h, w } = slice(view.m, view.frame);
  return clamp(Math.floor(y * h), 0, h - 1) * w + clamp(Math.floor(x * w), 0, w - 1);
}

// Where a place of the picture stands in a pane now, in per cent.
function inPane(x, y) {
  return { left: 100 * (x - view.zoom.x) * view.zoom.k, top: 100 * (y - view.zoom.y) * view.zoom.k };
}

function placeCursors() {
  const { token } = view.marked, m = view.m;
  for (const cursor of parts(".fm-cursor")) {
    cursor.hidden = token === null;
    if (token === null) continue;
    const { h, w } = slice(m, view.frame), { left, top } = inPane((token % w) / w, Math.floor(token / w) / h), k = 100 * view.zoom.k;
    cursor.style.cssText = `width:${k / w}%;height:${k / h}%;left:${left}%;top:${top}%`;
  }
}

function drawPath(kind, boxes, ids) {
  const path = ids.map((id) => shapeOf(view.m, view.frame, id)?.outline ?? "").join("");
  for (const box of boxes) for (const line of box.querySelectorAll(`.fm-${kind}`)) line.setAttribute("d", path);
}

const chosen = (sign) => [...view.focus].filter(([, s]) => s === sign).map(([id]) => id);
const hovered = () => (view.marked.segment ? [view.marked.segment] : []);

function markRows() {
  for (const row of parts("[data-segment]")) row.classList.toggle("fm-hot", Number(row.dataset.segment) === view.marked.segment);
}

// The outlines and badges of what is raised, lowered and pointed at; the first two where segments are at home.
function placeMarks() {
  const m = view.m;
  if (!m) return;
  const side = m.labels.side, { k, x, y } = view.zoom, all = parts(".fm-pane"), home = all.filter((box) => /^sees|:0$/.test(box.dataset.pane));
  for (const marks of parts(".fm-marks")) marks.setAttribute("viewBox", `${x * side} ${y * side} ${side / k} ${side / k}`);
  drawPath("raised", home, chosen(1));
  drawPath("lowered", home, chosen(-1));
  drawPath("hovered", all, hovered());
  const badges = [...view.focus].map(([id, sign]) => {
    const shape = shapeOf(m, view.frame, id);
    if (!shape) return "";
    const { left, top } = inPane(shape.middle.x, shape.middle.y);
    return `<span style="left:${left}%;top:${top}%">${sign > 0 ? "+" : "−"}</span>`;
  }).join("");
  markRows();
  for (const box of all) box.querySelector(".fm-badges").innerHTML = box.dataset.pane.endsWith(":0") ? badges : "";
  placeCursors();
}

// Marks a token (its place in the frame) and a segment; `near` is where the card may stand, in the window's pixels.
function mark({ token, segment, by }, near = null) {
  const m = view.m, box = part("card"), before = view.marked.segment;
  view.marked = { token, segment, by };
  if (before !== segment) drawPath("hovered", parts(".fm-pane"), hovered());
  markRows();
  placeCursors();
  box.hidden = token === null;
  clearTimeout(view.saying);
  if (token === null) return;
  writeCard();
  if (near) placeCard(near);
  view.saying = setTimeout(() => { part("live").textContent = spoken(box); }, by === "keys" ? 150 : 600);
}

function writeCard() {
  const { token, segment } = view.marked;
  if (token !== null) part("card").innerHTML = card(view.m, slice(view.m, view.frame).first + token, segment);
}

function placeCard({ x, y, above }) {
  const box = part("card"), wide = box.offsetWidth, high = box.offsetHeight;
  const left = x + 18 + wide > innerWidth ? x - 18 - wide : x + 18;
  box.style.left = `${clamp(left, 6, Math.max(6, innerWidth - wide - 6))}px`;
  box.style.top = `${clamp(above && y > high + 40 ? y - high - 28 : y + 14, 6, Math.max(6, innerHeight - high - 6))}px`;
}

function point(event) {
  const at = locate(event);
  if (!at) {
    if (view.marked.by === "pointer") mark(NOTHING);
    return;
  }
  const found = { token: tokenAt(at.x, at.y), segment: segmentAt(view.m, view.frame, at.x, at.y), by: "pointer" };
  mark(found, { x: event.clientX, y: event.clientY, above: event.pointerType === "touch" });
}

// --- from pointers to points, drags, pinches and clicks ---------------------------------------------------------

const SLACK = 6; // pixels that a click may wander
const touching = new Map(); // pointer id -> its newest place
let grip = null; // the press that may become a click or a drag

const spreadOf = ([a, b]) => ({ wide: Math.hypot(a.x - b.x, a.y - b.y), x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 });

root.addEventListener("pointerdown", (event) => {
  const at = locate(event);
  if (!at || event.button) return;
  touching.set(event.pointerId, { x: event.clientX, y: event.clientY });
  grip = { at, x: event.clientX, y: event.clientY, zoom: { ...view.zoom }, moved: touching.size > 1, spread: null };
  if (touching.size === 2) grip.spread = spreadOf([...touching.values()]);
  at.box.setPointerCapture(event.pointerId); // a drag may leave the pane
  point(event);
});

root.addEventListener("pointermove", (event) => {
  if (!touching.has(event.pointerId)) return point(event);
  touching.set(event.pointerId, { x: event.clientX, y: event.clientY });
  const area = grip.at.box.getBoundingClientRect(), dx = event.clientX - grip.x, dy = event.clientY - grip.y;
  if (!grip.moved && Math.hypot(dx, dy) > SLACK) {
    grip.moved = true;
    if (view.zoom.k > 1 || dividing(grip)) mark(NOTHING); // a drag shows no card
  }
  if (touching.size === 2 && grip.spread) {
    const now = spreadOf([...touching.values()]);
    view.zoom = grip.zoom;
    zoomTo(grip.zoom.k * now.wide / grip.spread.wide, (grip.spread.x - area.left) / area.width, (grip.spread.y - area.top) / area.height);
  } else if (grip.moved && dividing(grip)) {
    moveDivider((event.clientX - area.left) / area.width);
  } else if (grip.moved && view.zoom.k > 1) {
    view.zoom = grip.zoom;
    panBy(-dx / area.width / view.zoom.k, -dy / area.height / view.zoom.k);
  } else point(event);
});

function letGo(event) {
  if (!touching.delete(event.pointerId) || touching.size) return;
  const { at, moved } = grip;
  grip = null;
  if (event.type === "pointerup" && !moved && at.box.matches(".fm-pane")) clickPicture(at, event.shiftKey);
  if (event.type === "pointerup" && !moved && at.box.matches(".fm-stage") && view.zoom.k === 1) moveDivider(at.u);
}

root.addEventListener("pointerup", letGo);
root.addEventListener("pointercancel", letGo);
// A finger that was lifted leaves its mark; the next touch elsewhere takes it away.
root.addEventListener("pointerleave", (event) => event.pointerType !== "touch" && view.marked.by === "pointer" && mark(NOTHING));
document.addEventListener("pointerdown", (event) => view.marked.token !== null && !root.contains(event.target) && mark(NOTHING));
addEventListener("scroll", () => view.marked.token !== null && mark(NOTHING), { passive: true });
