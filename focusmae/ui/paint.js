// Drawing: everything that turns arrays and sprites into pixels. Each function draws the whole picture, `size` pixels wide.

// The tokens of one frame: first index, rows, columns.
function slice(m, frame) {
  const [t, h, w] = m.grid;
  return { first: Math.floor(frame * t / m.frames) * h * w, h, w };
}

// Where tile `frame` lies in a sprite.
function tile(m, image, frame) {
  const side = image.naturalWidth / m.columns;
  return { x: (frame % m.columns) * side, y: Math.floor(frame / m.columns) * side, side };
}

function drawFrame(ctx, size, m, image, frame) {
  const at = tile(m, image, frame);
  ctx.drawImage(image, at.x, at.y, at.side, at.side, 0, 0, size, size);
}

// Token borders on whole device pixels, so that neighbours neither gape nor overlap.
function cell(place, count, size) {
  const start = Math.round(place * size / count);
  return [start, Math.round((place + 1) * size / count) - start];
}

function eachToken(m, frame, size, visit) {
  const { first, h, w } = slice(m, frame);
  for (let i = 0; i < h * w; i++) {
    const [y, high] = cell(Math.floor(i / w), h, size), [x, wide] = cell(i % w, w, size);
    visit(first + i, x, y, wide, high);
  }
}

function fillTokens(ctx, size, m, frame, colour) {
  eachToken(m, frame, size, (i, x, y, wide, high) => {
    ctx.fillStyle = rgb(colour(i));
    ctx.fillRect(x, y, wide, high);
  });
}

function drawVisible(ctx, size, m, arm, frame) {
  const at = tile(m, m.images.input, frame), scale = at.side / size;
  eachToken(m, frame, size, (i, x, y, wide, high) => {
    if (!arm.seen.has(i)) return;
    ctx.drawImage(m.images.input, at.x + x * scale, at.y + y * scale, wide * scale, high * scale, x, y, wide, high);
  });
}

function drawMask(ctx, size, m, arm, frame, ink) {
  ctx.fillStyle = rgb(ink.paper);
  ctx.fillRect(0, 0, size, size);
  ctx.fillStyle = rgb(ink.line);
  const { h, w } = slice(m, frame);
  for (let i = 1; i < w; i++) ctx.fillRect(cell(i, w, size)[0], 0, 1, size);
  for (let i = 1; i < h; i++) ctx.fillRect(0, cell(i, h, size)[0], size, 1);
  drawVisible(ctx, size, m, arm, frame);
}

function drawImagined(ctx, size, m, arm, frame, { pasted, truth }) {
  drawFrame(ctx, size, m, (truth && arm.image_true) || arm.image, frame);
  if (pasted) drawVisible(ctx, size, m, arm, frame);
}

function drawError(ctx, size, m, arm, frame, scale) {
  fillTokens(ctx, size, m, frame, (i) => coloured(MAGMA, arm.error[i] / scale));
}

// Who errs less: paper for nobody, the arm's own colour for its lead. With `only`, just the leads of that arm.
function drawDifference(ctx, size, m, frame, ink, only = null) {
  fillTokens(ctx, size, m, frame, (i) => {
    const arm = m.gap[i] > 0 ? 1 : 0, lead = clamp(Math.abs(m.gap[i]) / m.gap_scale);
    return only === null || only === arm ? mix(ink.paper, ink.arms[arm], lead) : ink.paper;
  });
}

function drawOutlines(ctx, size, m, frame, ratio) {
  const path = m.lines[frame] ??= new Path2D(allBorders(m, frame)), scale = size / m.labels.side;
  const wide = clamp(ctx.canvas.width / ratio / 140, 0.6, m.segment_count > 40 ? 1 : 1.4) * ratio / scale; // thin where the pane is small
  ctx.save();
  ctx.scale(scale, scale);
  ctx.lineCap = "square";
  ctx.strokeStyle = "rgba(20,20,22,.5)";
  ctx.lineWidth = 2.6 * wide;
  ctx.stroke(path);
  ctx.strokeStyle = "rgba(255,255,255,.92)";
  ctx.lineWidth = wide;
  ctx.stroke(path);
  ctx.restore();
}

function drawGrey(ctx, size, m, frame) {
  drawFrame(ctx, size, m, m.images.input, frame);
  ctx.globalCompositeOperation = "saturation";
  ctx.fillStyle = "#808080";
  ctx.fillRect(0, 0, size, size);
  ctx.globalCompositeOperation = "source-over";
}

const segmentColour = (m, id, key = "chance") => coloured(VIRIDIS, key === "chance" ? m.row[id].chance / m.most : m.row[id][key]);

// Each segment in the colour of its mean chance, or of how well it fits the text, over the grey photo.
function drawTint(ctx, size, m, frame, key) {
  const tints = m.tints[key] ??= [];
  if (!tints[frame]) {
    const side = m.labels.side, first = frame * side * side, canvas = document.createElement("canvas");
    canvas.width = canvas.height = side;
    const small = canvas.getContext("2d"), pixels = small.createImageData(side, side);
    const colours = { 0: [0, 0, 0, 0] }; // ids may have gaps
    for (const { id } of m.segments) colours[id] = [...segmentColour(m, id, key), 255];
    for (let i = 0; i < side * side; i++) pixels.data.set(colours[m.ids[first + i]], 4 * i);
    small.putImageData(pixels, 0, 0);
    tints[frame] = canvas;
  }
  drawGrey(ctx, size, m, frame);
  ctx.globalAlpha = 0.6;
  ctx.drawImage(tints[frame], 0, 0, size, size);
  ctx.globalAlpha = 1;
}

// Importance: the photo in a dark room, each token lit by its score.
function drawSpotlight(ctx, size, m, frame) {
  drawFrame(ctx, size, m, m.images.input, frame);
  const { first, h, w } = slice(m, frame), shade = document.createElement("canvas");
  shade.width = w; shade.height = h;
  const small = shade.getContext("2d"), pixels = small.createImageData(w, h);
  for (let i = 0; i < h * w; i++) {
    const light = clamp((m.scores[first + i] - m.dark) / (m.bright - m.dark || 1));
    pixels.data.set([10, 11, 14, 232 * (1 - light)], 4 * i);
  }
  small.putImageData(pixels, 0, 0);
  ctx.imageSmoothingQuality = "high";
  ctx.drawImage(shade, 0, 0, size, size);
}

function drawExperts(ctx, size, m, frame) {
  drawGrey(ctx, size, m, frame);
  const count = m.experts.length;
  eachToken(m, frame, size, (i, x, y, wide, high) => {
    const shares = m.gates.slice(i * count, (i + 1) * count), most = shares.indexOf(Math.max(...shares));
    ctx.globalAlpha = 0.3 + 0.5 * clamp((shares[most] - 1 / count) / (1 - 1 / count));
    ctx.fillStyle = rgb(EXPERT_COLOURS[most]);
    ctx.fillRect(x, y, wide, high);
  });
  ctx.globalAlpha = 1;
}

function drawChance(ctx, size, m, frame) {
  fillTokens(ctx, size, m, frame, (i) => {
    const light = 22 + 228 * clamp(m.chance[i]);
    return [light, light, light * 0.98];
  });
}

function drawStrip(ctx, width, height, m) {
  const wide = width / m.frames;
  for (let f = 0; f < m.frames; f++) {
    const at = tile(m, m.images.input, f), shown = Math.min(at.side, at.side * wide / height);
    ctx.drawImage(m.images.input, at.x + (at.side - shown) / 2, at.y, shown, at.side, f * wide, 0, wide + 0.5, height);
  }
}

// A segment where it is largest, cut out as a square; what is not of it stands back.
function drawThumb(ctx, size, m, id) {
  const frame = largestIn(m, id), box = m.boxes[frame].get(id);
  if (!box) return;
  const side = m.labels.side, wide = Math.min(side, 1.15 * Math.max(box.x1 - box.x0 + 1, box.y1 - box.y0 + 1, side / 16));
  const x = clamp((box.x0 + box.x1 + 1 - wide) / 2, 0, side - wide), y = clamp((box.y0 + box.y1 + 1 - wide) / 2, 0, side - wide);
  const at = tile(m, m.images.input, frame), scale = at.side / side;
  ctx.drawImage(m.images.input, at.x + x * scale, at.y + y * scale, wide * scale, wide * scale, 0, 0, size, size);
  const shade = ctx.createImageData(size, size);
  const veil = document.createElement("canvas");
  veil.width = veil.height = size;
  for (let i = 0; i < size * size; i++) {
    const column = Math.floor(x + (i % size + 0.5) * wide / size), row = Math.floor(y + (Math.floor(i / size) + 0.5) * wide / size);
    if (m.ids[(frame * side + row) * side + column] !== id) shade.data.set([20, 21, 24, 178], 4 * i);
  }
  veil.getContext("2d").putImageData(shade, 0, 0);
  ctx.drawImage(veil, 0, 0);
}
