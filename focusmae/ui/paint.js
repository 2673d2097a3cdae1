// Drawing: everything that turns arrays and sprites into pixels. No state beyond the message `m` that is passed in.

// matplotlib's magma at nine even steps (CC0)
const MAGMA = [[0, 0, 4], [28, 16, 68], [79, 18, 123], [129, 37, 129], [181, 54, 122], [229, 80, 100],
  [251, 135, 97], [254, 194, 135], [252, 253, 191]];
// Neither blue nor orange: those are the arms'.
const EXPERT_COLOURS = [[64, 145, 108], [190, 92, 150], [126, 87, 194], [150, 140, 118]];

const clamp = (v, low = 0, high = 1) => Math.min(high, Math.max(low, v));
const rgb = (c) => `rgb(${c.map(Math.round).join(",")})`;

function magma(value) {
  const x = clamp(value) * (MAGMA.length - 1), i = Math.min(MAGMA.length - 2, Math.floor(x)), part = x - i;
  return MAGMA[i].map((low, c) => low + part * (MAGMA[i + 1][c] - low));
}

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

function drawVisible(ctx, size, m, arm, frame) {
  const at = tile(m, m.images.input, frame), scale = at.side / size;
  eachToken(m, frame, size, (i, x, y, wide, high) => {
    if (!arm.seen.has(i)) return;
    ctx.drawImage(m.images.input, at.x + x * scale, at.y + y * scale, wide * scale, high * scale, x, y, wide, high);
  });
}

function drawMask(ctx, size, m, arm, frame, paper) {
  ctx.fillStyle = paper.fill;
  ctx.fillRect(0, 0, size, size);
  ctx.fillStyle = paper.line;
  const { h, w } = slice(m, frame);
  for (let i = 1; i < w; i++) ctx.fillRect(cell(i, w, size)[0], 0, 1, size);
  for (let i = 1; i < h; i++) ctx.fillRect(0, cell(i, h, size)[0], size, 1);
  drawVisible(ctx, size, m, arm, frame);
}

function drawImagined(ctx, size, m, arm, frame, pasted) {
  drawFrame(ctx, size, m, arm.image, frame);
  if (pasted) drawVisible(ctx, size, m, arm, frame);
}

function drawError(ctx, size, m, arm, frame) {
  eachToken(m, frame, size, (i, x, y, wide, high) => {
    ctx.fillStyle = rgb(magma(arm.error[i] / m.error_scale));
    ctx.fillRect(x, y, wide, high);
  });
}

function drawInput(ctx, size, m, frame, outlined) {
  drawFrame(ctx, size, m, m.images.input, frame);
  if (outlined) drawFrame(ctx, size, m, m.images.outlines, frame);
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
  // half a token further out on each side, so that a token's value stands at its centre
  ctx.drawImage(shade, 0, 0, size, size);
}

function drawExperts(ctx, size, m, frame) {
  drawFrame(ctx, size, m, m.images.input, frame);
  ctx.globalCompositeOperation = "saturation";
  ctx.fillStyle = "#808080";
  ctx.fillRect(0, 0, size, size);
  ctx.globalCompositeOperation = "source-over";
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
  eachToken(m, frame, size, (i, x, y, wide, high) => {
    const light = 22 + 228 * clamp(m.chance[i]);
    ctx.fillStyle = rgb([light, light, light * 0.98]);
    ctx.fillRect(x, y, wide, high);
  });
}

function drawStrip(ctx, width, height, m) {
  const wide = width / m.frames;
  for (let f = 0; f < m.frames; f++) {
    const at = tile(m, m.images.input, f), shown = Math.min(at.side, at.side * wide / height);
    ctx.drawImage(m.images.input, at.x + (at.side - shown) / 2, at.y, shown, at.side, f * wide, 0, wide + 0.5, height);
  }
}

// Decodes all sprites of a message and prepares what drawing asks for often.
async function decode(m) {
  const load = async (source) => {
    const image = new Image();
    image.src = source;
    await image.decode();
    return image;
  };
  const [input, lines, ...pictures] = await Promise.all([m.input, m.outlines, ...m.arms.map((a) => a.picture)].map(load));
  m.images = { input, outlines: lines };
  m.arms.forEach((arm, i) => { arm.image = pictures[i]; arm.seen = new Set(arm.visible); });
  const sorted = [...m.scores].sort((a, b) => a - b);
  m.dark = sorted[Math.floor(0.02 * (sorted.length - 1))];
  m.bright = sorted[Math.ceil(0.98 * (sorted.length - 1))];
  return m;
}
