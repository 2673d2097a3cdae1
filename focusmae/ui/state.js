// What is shown now, and how it comes onto the canvases. Runs once, with element, props, trigger and watch.

element.innerHTML = frameMarkup();
const root = element.querySelector(".fm");
const part = (name) => root.querySelector(`[data-part="${name}"]`);
const parts = (selector) => [...root.querySelectorAll(selector)];
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const view = {
  m: null, frame: 0, playing: null, awaited: 0, runs: 0,
  outlined: true, tinted: false, pasted: true, truth: false, third: "experts", scale: "common", combine: "mean",
  zoom: { k: 1, x: 0, y: 0 }, // how many times larger, and the corner that is shown, as shares of the picture
  marked: { token: null, segment: 0, by: null }, // token: its place in the frame; by: "pointer", "keys" or "list"
  focus: new Map(), strength: 3, mode: "raise", owed: false, // segment -> +1 or -1; owed: a run with it is on its way
  swipe: { left: "1:imagined", right: "2:imagined", at: 0.5 },
};

// --- drawings --------------------------------------------------------------------------------------------------

const scaleOf = (m, arm) => (view.scale === "own" ? arm.error_scale : m.error_scale);

const DRAWINGS = {
  photo: (ctx, size, m) => drawFrame(ctx, size, m, m.images.input, view.frame),
  segments: (ctx, size, m, arm, ink, ratio) => {
    if (view.tinted) drawTint(ctx, size, m, view.frame, "chance");
    else drawFrame(ctx, size, m, m.images.input, view.frame);
    if (view.outlined) drawOutlines(ctx, size, m, view.frame, ratio);
  },
  importance: (ctx, size, m) => drawSpotlight(ctx, size, m, view.frame),
  experts: (ctx, size, m) => drawExperts(ctx, size, m, view.frame),
  chance: (ctx, size, m) => drawChance(ctx, size, m, view.frame),
  fit: (ctx, size, m) => drawTint(ctx, size, m, view.frame, "fit"),
  difference: (ctx, size, m, arm, ink) => drawDifference(ctx, size, m, view.frame, ink),
  mask: (ctx, size, m, arm, ink) => drawMask(ctx, size, m, arm, view.frame, ink),
  imagined: (ctx, size, m, arm) => drawImagined(ctx, size, m, arm, view.frame, view),
  error: (ctx, size, m, arm) => drawError(ctx, size, m, arm, view.frame, scaleOf(m, arm)),
  lead: (ctx, size, m, arm, ink) => drawDifference(ctx, size, m, view.frame, ink, m.arms.indexOf(arm)),
};

// Which drawing stands where: "row:column" -> "column:drawing", as the divider names them too.
function drawingAt(place) {
  const [row, column] = place.split(":"), differ = view.scale === "difference";
  const name = column === "0"
    ? { sees: "segments", imagines: "importance", errs: differ ? "difference" : view.third }[row]
    : { sees: "mask", imagines: "imagined", errs: differ ? "lead" : "error" }[row];
  return `${column}:${name}`;
}

function fit(canvas) {
  const ratio = devicePixelRatio || 1, wide = Math.round(canvas.clientWidth * ratio), high = Math.round(canvas.clientHeight * ratio);
  if (canvas.width !== wide || canvas.height !== high) { canvas.width = wide; canvas.height = high; }
  return canvas.width > 0 && canvas.height > 0;
}

function drawInto(canvas, which, ink) {
  const [column, name] = which.split(":"), arm = view.m.arms[column - 1], { k, x, y } = view.zoom;
  const ctx = canvas.getContext("2d"), size = Math.round(canvas.width * k);
  if (column !== "0" && !arm) return;
  ctx.setTransform(1, 0, 0, 1, -Math.round(x * size), -Math.round(y * size));
  DRAWINGS[name](ctx, size, view.m, arm, ink, devicePixelRatio || 1);
}

function paint() {
  if (!view.m) return;
  const ink = palette(root);
  for (const box of parts(".fm-pane")) if (fit(box.firstElementChild)) drawInto(box.firstElementChild, drawingAt(box.dataset.pane), ink);
  paintSwipe(ink);
  paintFilm();
}

// Many wishes within one picture of the screen are one.
function repaint() {
  view.wished ??= requestAnimationFrame(() => {
    view.wished = null;
    paint();
    placeMarks();
  });
}
