// From a map of segments to lines: the borders between pixels, joined to runs, as the text of an SVG path.

// Borders within a box of one frame wherever differ(a, b) holds for two neighbours; outside the picture is -1.
function borders(m, frame, { x0, x1, y0, y1 }, differ) {
  const side = m.labels.side, first = frame * side * side, runs = [];
  const at = (x, y) => (x < 0 || y < 0 || x >= side || y >= side ? -1 : m.ids[first + y * side + x]);
  const trace = (line, from, to, pair, write) => {
    let began = -1;
    for (let i = from; i <= to + 1; i++) {
      const border = i <= to && differ(...pair(i, line));
      if (border && began < 0) began = i;
      else if (!border && began >= 0) { runs.push(write(began, i)); began = -1; }
    }
  };
  for (let y = y0; y <= y1 + 1; y++) trace(y, x0, x1, (x) => [at(x, y - 1), at(x, y)], (a, b) => `M${a} ${y}H${b}`);
  for (let x = x0; x <= x1 + 1; x++) trace(x, y0, y1, (y) => [at(x - 1, y), at(x, y)], (a, b) => `M${x} ${a}V${b}`);
  return runs.join("");
}

// All borders between segments; the picture's own edge is none.
function allBorders(m, frame) {
  const last = m.labels.side - 1;
  return borders(m, frame, { x0: 0, x1: last, y0: 0, y1: last }, (a, b) => a !== b && a >= 0 && b >= 0);
}

// The closed outline of one segment, and a point inside it close to its middle (shares of the picture): computed once.
function shapeOf(m, frame, id) {
  const box = m.boxes[frame].get(id);
  if (!box) return null;
  box.outline ??= borders(m, frame, box, (a, b) => (a === id) !== (b === id));
  box.middle ??= middle(m, frame, id, box);
  return box;
}

function middle(m, frame, id, { x0, x1, y0, y1, pixels, sumX, sumY }) {
  const side = m.labels.side, cx = sumX / pixels, cy = sumY / pixels;
  let best = null, least = Infinity;
  for (let y = y0; y <= y1; y++) {
    for (let x = x0; x <= x1; x++) {
      const away = (x - cx) ** 2 + (y - cy) ** 2;
      if (away < least && m.ids[(frame * side + y) * side + x] === id) { least = away; best = { x: (x + 0.5) / side, y: (y + 0.5) / side }; }
    }
  }
  return best;
}

// For every frame the segments in it, each with the box that holds it and its number of pixels: id -> box.
function survey(m) {
  const side = m.labels.side;
  return Array.from({ length: m.frames }, (_, frame) => {
    const boxes = new Map();
    for (let y = 0, i = frame * side * side; y < side; y++) {
      for (let x = 0; x < side; x++, i++) {
        let box = boxes.get(m.ids[i]);
        if (!box) boxes.set(m.ids[i], box = { x0: x, x1: x, y0: y, y1: y, pixels: 0, sumX: 0, sumY: 0 });
        box.pixels++;
        box.sumX += x;
        box.sumY += y;
        box.y1 = y;
        if (x < box.x0) box.x0 = x;
        else if (x > box.x1) box.x1 = x;
      }
    }
    return boxes;
  });
}

// The frame in which a segment is largest.
function largestIn(m, id) {
  const pixels = m.boxes.map((boxes) => boxes.get(id)?.pixels ?? 0);
  return pixels.indexOf(Math.max(...pixels));
}
