// Colours: the two maps, the experts', and the way from blue to orange. None is ever a rainbow.

// matplotlib's magma and viridis at nine even steps (CC0)
const MAGMA = [[0, 0, 4], [28, 16, 68], [79, 18, 123], [129, 37, 129], [181, 54, 122], [229, 80, 100],
  [251, 135, 97], [254, 194, 135], [252, 253, 191]];
const VIRIDIS = [[68, 1, 84], [71, 45, 123], [59, 82, 139], [44, 114, 142], [33, 145, 140], [40, 174, 128],
  [94, 201, 98], [173, 220, 48], [253, 231, 37]];
// Neither blue nor orange: those are the arms'.
const EXPERT_COLOURS = [[64, 145, 108], [190, 92, 150], [126, 87, 194], [150, 140, 118]];

const clamp = (v, low = 0, high = 1) => Math.min(high, Math.max(low, v));
const rgb = (c) => `rgb(${c.map(Math.round).join(",")})`;
const mix = (from, to, part) => from.map((low, c) => low + part * (to[c] - low));
const ramp = (map) => `linear-gradient(90deg, ${map.map(rgb).join(", ")})`;

function coloured(map, value) {
  const x = clamp(value) * (map.length - 1), i = Math.min(map.length - 2, Math.floor(x));
  return mix(map[i], map[i + 1], x - i);
}

// The colours of the theme in use: paper, its lines, and the arms', as [r, g, b].
const reader = document.createElement("canvas").getContext("2d"); // it writes every colour as #rrggbb

function palette(place) {
  const style = getComputedStyle(place), read = (name) => {
    reader.fillStyle = style.getPropertyValue(name).trim();
    return [1, 3, 5].map((at) => parseInt(reader.fillStyle.slice(at, at + 2), 16));
  };
  return { paper: read("--fm-paper"), line: read("--fm-paper-line"), arms: [read("--fm-a-fill"), read("--fm-b-fill")] };
}
