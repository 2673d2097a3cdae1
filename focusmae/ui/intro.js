// Three sentences for the first visit, and a figure that is computed here: a scene of 64 patches, 16 of them drawn
// twice, and the rest filled in from those by inverse distance. Part of controls.js's closure.

const SIDE = 8, SEEN = 16;

// The scene: sky, hills, and a red house with a window, the thing that matters.
function scene(x, y) {
  if (x >= 4 && x <= 5 && y >= 3 && y <= 5) return x === 5 && y === 4 ? [250, 224, 140] : [184, 72, 60];
  if (y === 2 && x >= 4 && x <= 5) return [96, 62, 58];
  if (y > 4 + Math.sin(x * 0.9)) return [122 - 6 * y, 158 - 5 * y, 104];
  return [150 + 8 * y, 190 + 6 * y, 226];
}

function drawn(weight) {
  let seed = 7; // the same noise for both: Gumbel, from a small generator of its own
  const noise = () => { seed = (seed * 16807) % 2147483647; return -Math.log(-Math.log(seed / 2147483647)); };
  const cells = [...Array(SIDE * SIDE).keys()].map((i) => [weight(i % SIDE, Math.floor(i / SIDE)) + noise(), i]);
  return new Set(cells.sort((a, b) => b[0] - a[0]).slice(0, SEEN).map(([, i]) => i));
}

function imagined(seen) {
  return [...Array(SIDE * SIDE).keys()].map((i) => {
    if (seen.has(i)) return scene(i % SIDE, Math.floor(i / SIDE));
    let total = 0;
    const sum = [0, 0, 0];
    for (const j of seen) {
      const near = 1 / ((i % SIDE - j % SIDE) ** 2 + (Math.floor(i / SIDE) - Math.floor(j / SIDE)) ** 2) ** 1.5;
      total += near;
      scene(j % SIDE, Math.floor(j / SIDE)).forEach((v, c) => { sum[c] += near * v; });
    }
    return sum.map((v) => v / total);
  });
}

function figure() {
  const grid = (x, y, size, colour, delay) => [...Array(SIDE * SIDE).keys()].map((i) => {
    const c = colour(i), step = size / SIDE, place = `x="${x + (i % SIDE) * step}" y="${y + Math.floor(i / SIDE) * step}"`;
    return `<rect ${place} width="${step + 0.2}" height="${step + 0.2}" ${c ? `fill="rgb(${c.map(Math.round)})" class="fm-grow"
      style="animation-delay:${delay + 12 * i}ms"` : 'class="fm-none"'}/>`;
  }).join("");
  const all = (i) => scene(i % SIDE, Math.floor(i / SIDE));
  const arms = [["fm-a", 0, drawn(() => 0)], ["fm-b", 58, drawn((x, y) => (x >= 3 && x <= 6 && y >= 2 && y <= 6 ? 3.2 : 0))]];
  const arrow = (x1, y1, x2, y2) => `<path class="fm-arrow" d="M${x1} ${y1}L${x2} ${y2}"/>`;
  const rows = arms.map(([mark, y, seen]) => {
    const picture = imagined(seen);
    return `<g class="${mark}">${arrow(62, 52, 84, y + 26)}${grid(92, y, 50, (i) => seen.has(i) && all(i), 500)}
      ${arrow(146, y + 25, 158, y + 25)}${arrow(178, y + 25, 190, y + 25)}${grid(194, y, 50, (i) => picture[i], 1300)}
      <rect class="fm-frame" x="91" y="${y - 1}" width="52" height="52" rx="3"/></g>`;
  });
  return `<svg viewBox="-1 -2 246 112" role="img" aria-label="${esc(say("intro_figure"))}">${grid(0, 25, 58, all, 0)}${rows.join("")}
    <rect class="fm-network" x="159" y="6" width="18" height="96" rx="5"/>
    <text class="fm-network-name" transform="translate(171.5 54) rotate(-90)" text-anchor="middle">${esc(say("network"))}</text></svg>`;
}

if (!window.focusmae.kept("introduced")) {
  element.querySelector(".fm-controls").insertAdjacentHTML("afterbegin", `<section class="fm-intro" aria-label="${esc(say("intro"))}">
    ${figure()}<p>${["intro_1", "intro_2", "intro_3"].map((key) => esc(say(key))).join(" ")}</p>
    <button type="button" class="fm-quiet" data-introduced>${esc(say("got_it"))}</button></section>`);
  at("[data-introduced]").addEventListener("click", () => {
    window.focusmae.keep("introduced", "yes");
    at(".fm-intro").remove();
    at(".fm-drop input").focus();
  });
}
