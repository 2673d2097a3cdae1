// The keyboard: arrows move the mark while a pane has the focus, and step the frames anywhere else.

const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// Marks a token from the keys; the card stands beside it, in the pane that has the focus.
function markByKeys(box, column, row) {
  const { h, w, first } = slice(view.m, view.frame), token = clamp(row, 0, h - 1) * w + clamp(column, 0, w - 1);
  mark({ token, segment: view.m.token_segment[first + token], by: "keys" });
  follow();
  const area = box.getBoundingClientRect(), { left, top } = inPane((token % w + 1) / w, Math.floor(token / w) / h);
  placeCard({ x: area.left + area.width * left / 100, y: area.top + area.height * top / 100 });
}

function keyInPane(event, box) {
  const { h, w } = slice(view.m, view.frame), { token } = view.marked, move = MOVES[event.key];
  if (move && token === null) markByKeys(box, Math.floor(w / 2), Math.floor(h / 2));
  else if (move) markByKeys(box, token % w + move[0], Math.floor(token / w) + move[1]);
  else if (event.key === "Enter" && token !== null) touchSegment(view.marked.segment, event.shiftKey ? -1 : 1);
  else if (event.key === "Escape") mark(NOTHING);
  else return false;
  return true;
}

function keyOfFrames(event) {
  if (view.m.frames < 2) return false;
  const step = { ",": -1, ".": 1, ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (step) { play(false); stepTo(view.frame + step); }
  else if (event.key === " " && !event.target.closest?.("button,summary,a,label")) play(view.playing === null);
  else return false;
  return true;
}

function keyOfZoom(event) {
  const factor = { "+": STEP, "=": STEP, "-": 1 / STEP }[event.key];
  if (factor) zoomBy(factor);
  else if (event.key === "0") zoomTo(1);
  else return false;
  return true;
}

function key(event) {
  if (!root.isConnected || !view.m || event.altKey || event.ctrlKey || event.metaKey || event.defaultPrevented) return;
  const { target } = event, box = target.closest?.(".fm-pane, .fm-stage");
  // wherever the focus is, unless the keys have a meaning there
  if (target.closest?.("input,textarea,select,[contenteditable],[role=listbox]") && !target.closest(".fm-strip")) return;
  const done = (target.matches?.(".fm-divider") && keyOfDivider(event)) || (target.matches?.(".fm-pane") && keyInPane(event, box))
    || (box && keyOfZoom(event)) || keyOfFrames(event);
  if (done) event.preventDefault();
}

document.addEventListener("keydown", key);

// A pane that gets the focus by key shows where its mark stands; one that loses it takes the mark along.
root.addEventListener("focusout", (event) => view.marked.by === "keys" && !event.relatedTarget?.matches(".fm-pane") && mark(NOTHING));
