// The divider: two pictures of one place, one laid over the other, with an edge between them that moves.

const EVERY = ["photo", "segments", "importance", "experts", "chance", "difference"], OF_ARM = ["mask", "imagined", "error"];
const NEAR = 18; // pixels from the edge within which a press takes hold of it

function nameOf(which) {
  const [column, name] = which.split(":"), what = say("p_" + name);
  return column === "0" ? what : `${view.m.arms[column - 1].title}: ${what}`;
}

const choices = () => [...EVERY.map((name) => `0:${name}`), ...view.m.arms.flatMap((arm, i) => OF_ARM.map((name) => `${i + 1}:${name}`))];

function fillChoices() {
  for (const side of ["left", "right"]) {
    part("swipe-" + side).innerHTML = choices().map((which) => `<option value="${which}">${esc(nameOf(which))}</option>`).join("");
    part("swipe-" + side).value = view.swipe[side];
  }
}

function openSwipe() {
  fillChoices();
  part("swipe").append(part("card")); // what is open covers all that lies outside of it
  part("swipe").showModal();
  paint();
}

part("swipe").addEventListener("close", () => {
  root.append(part("card"));
  mark(NOTHING);
});

for (const side of ["left", "right"]) {
  part("swipe-" + side).addEventListener("change", (event) => { view.swipe[side] = event.target.value; repaint(); });
}

function paintSwipe(ink) {
  const canvas = part("stage").querySelector("canvas"), { left, right, at } = view.swipe;
  if (!part("swipe").open || !fit(canvas)) return;
  const ctx = canvas.getContext("2d"), edge = Math.round(at * canvas.width);
  drawInto(canvas, left, ink);
  ctx.save();
  ctx.setTransform(1, 0, 0, 1, 0, 0);
  ctx.beginPath();
  ctx.rect(edge, 0, canvas.width - edge, canvas.height);
  ctx.clip();
  drawInto(canvas, right, ink);
  ctx.restore();
  const divider = part("divider");
  divider.style.left = `${100 * at}%`;
  divider.setAttribute("aria-valuenow", Math.round(100 * at));
}

function moveDivider(at) {
  view.swipe.at = clamp(at);
  repaint();
}

// A press moves the edge, unless the picture is enlarged and the press is away from the edge: then it moves the picture.
function dividing({ at }) {
  if (!at.box.matches(".fm-stage")) return false;
  return view.zoom.k === 1 || Math.abs(at.u - view.swipe.at) * at.box.clientWidth < NEAR;
}

function keyOfDivider(event) {
  const steps = { ArrowLeft: -0.02, ArrowRight: 0.02, PageDown: -0.1, PageUp: 0.1, Home: -1, End: 1 };
  if (!(event.key in steps)) return false;
  moveDivider(view.swipe.at + steps[event.key]);
  return true;
}
