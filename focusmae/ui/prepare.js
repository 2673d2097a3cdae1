// From a message to what drawing asks for often: decoded pictures, segment labels, scales.

async function loadImage(source) {
  const image = new Image();
  image.src = source;
  await image.decode();
  return image;
}

async function unpack({ bytes, data }) {
  const packed = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const raw = await new Response(stream).arrayBuffer();
  return bytes === 1 ? new Uint8Array(raw) : new Uint16Array(raw);
}

const still_ = { message: null }; // the last result, whose input and segments serve the next draw

async function stillParts(m) {
  const before = still_.message;
  if (before && before.input === m.input && before.labels.data === m.labels.data) {
    return { images: before.images, ids: before.ids, lines: before.lines, boxes: before.boxes };
  }
  const [input, ids] = await Promise.all([loadImage(m.input), unpack(m.labels)]);
  return { images: { input }, ids, lines: [], boxes: survey({ ...m, ids }) };
}

const rising = (values) => [...values].sort((a, b) => a - b);
const percentile = (sorted, share) => sorted[Math.ceil(share * (sorted.length - 1))];
const brightest = (errors) => percentile(rising(errors.filter((e) => e > 0)), 0.99) || 1;

// The message with all of that in place. The value that Gradio hands out watches every access; a copy does not.
async function prepare(message) {
  const m = JSON.parse(JSON.stringify(message)), [parts] = await Promise.all([stillParts(m), ...m.arms.map(async (arm) => {
    arm.image = await loadImage(arm.picture);
    arm.image_true = arm.picture_true ? await loadImage(arm.picture_true) : null;
    arm.seen = new Set(arm.visible);
    arm.error_scale = brightest(arm.error);
  })]);
  Object.assign(m, parts, { tints: {} });
  const sorted = rising(m.scores);
  m.dark = sorted[Math.floor(0.02 * (sorted.length - 1))];
  m.bright = percentile(sorted, 0.98);
  m.row = Object.fromEntries(m.segments.map((row) => [row.id, row]));
  m.most = Math.max(...m.segments.map((row) => row.chance), 1e-9);
  if (m.arms.length > 1) { // positive: the second arm errs less
    m.gap = m.arms[0].error.map((error, i) => error - m.arms[1].error[i]);
    m.gap_scale = brightest(m.gap.map(Math.abs));
  }
  still_.message = m;
  return m;
}

// The segment that holds a place of the picture (shares of its width and height), 0 = none.
function segmentAt(m, frame, x, y) {
  const side = m.labels.side, column = clamp(Math.floor(x * side), 0, side - 1), row = clamp(Math.floor(y * side), 0, side - 1);
  return m.ids[(frame * side + row) * side + column];
}

// The segments that matter most to the draw: by mean chance and area, `extra` ones in any case.
function mostImportant(m, count, extra) {
  const order = [...m.segments].sort((a, b) => b.chance * b.area - a.chance * a.area);
  return [...order.slice(0, count), ...order.slice(count).filter((row) => extra.has(row.id))];
}
