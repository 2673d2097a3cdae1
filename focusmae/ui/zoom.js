// One zoom for all panes: wheel, pinch, buttons and keys make it larger, a drag moves it, a double click ends it.

const LARGEST = 12, STEP = 1.5, SAME_ROLL = 400; // milliseconds between two turns of a wheel that belong together
let rolled = { at: 0, zooms: false };

function settle() {
  const { zoom } = view, room = 1 - 1 / zoom.k;
  zoom.x = clamp(zoom.x, 0, room);
  zoom.y = clamp(zoom.y, 0, room);
  root.classList.toggle("fm-zoomed", zoom.k > 1);
  part("level").textContent = `${Number(zoom.k.toFixed(1))} ×`;
  repaint();
}

// The place at (u, v) of a pane, as shares of its sides, stays where it is.
function zoomTo(k, u = 0.5, v = 0.5) {
  const { zoom } = view, next = clamp(k, 1, LARGEST);
  view.zoom = { k: next, x: zoom.x + u / zoom.k - u / next, y: zoom.y + v / zoom.k - v / next };
  settle();
}

function panBy(dx, dy) {
  view.zoom = { ...view.zoom, x: view.zoom.x + dx, y: view.zoom.y + dy };
  settle();
}

function zoomBy(factor) {
  const { token } = view.marked, { h, w } = view.m ? slice(view.m, view.frame) : { h: 1, w: 1 };
  if (token === null) return zoomTo(view.zoom.k * factor);
  const { left, top } = inPane((token % w + 0.5) / w, (Math.floor(token / w) + 0.5) / h);
  zoomTo(view.zoom.k * factor, clamp(left / 100), clamp(top / 100));
}

// A marked token that the keys led out of sight comes back into it.
function follow() {
  const { h, w } = slice(view.m, view.frame), { token } = view.marked, { zoom } = view, room = 1 / zoom.k;
  const x = (token % w) / w, y = Math.floor(token / w) / h;
  if (zoom.k === 1) return;
  panBy(clamp(zoom.x, x + 1 / w - room, x) - zoom.x, clamp(zoom.y, y + 1 / h - room, y) - zoom.y);
}

// A roll that began as scrolling goes on scrolling, so that no pane catches a page that moves under the pointer.
root.addEventListener("wheel", (event) => {
  const at = locate(event), now = performance.now(), fresh = now - rolled.at > SAME_ROLL;
  if (!at) return;
  const inward = event.deltaY < 0, wanted = event.ctrlKey || view.zoom.k > 1 || inward;
  rolled = { at: now, zooms: fresh || event.ctrlKey ? wanted : rolled.zooms };
  if (!rolled.zooms || (!event.ctrlKey && !inward && view.zoom.k === 1)) return;
  event.preventDefault();
  zoomTo(view.zoom.k * Math.exp(-clamp(event.deltaY, -120, 120) * (event.ctrlKey ? 0.01 : 0.0025)), at.u, at.v);
}, { passive: false });
addEventListener("wheel", (event) => { if (!root.contains(event.target)) rolled = { at: performance.now(), zooms: false }; }, { passive: true });

root.addEventListener("dblclick", (event) => locate(event) && zoomTo(1));
