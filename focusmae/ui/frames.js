// Frames: one number for all panes, a film strip that shows and sets it, and a clock that moves it.

function paintFilm() {
  const m = view.m;
  for (const film of parts(".fm-film")) {
    film.hidden = m.frames < 2;
    if (film.hidden) continue;
    const strip = film.querySelector("canvas"), now = film.querySelector(".fm-now"), scrub = film.querySelector("input");
    if (fit(strip)) drawStrip(strip.getContext("2d"), strip.width, strip.height, m);
    now.style.width = `${100 / m.frames}%`;
    now.style.left = `${100 * view.frame / m.frames}%`;
    scrub.max = m.frames - 1;
    scrub.value = view.frame;
    scrub.setAttribute("aria-valuetext", say("frame", { i: view.frame + 1, n: m.frames }));
    film.querySelector(".fm-count").textContent = say("frame", { i: view.frame + 1, n: m.frames });
  }
  root.dataset.frame = view.frame;
}

function stepTo(frame) {
  const m = view.m;
  if (!m || m.frames < 2) return;
  view.frame = (frame + m.frames) % m.frames;
  paint();
  placeMarks();
  writeCard();
}

function play(on) {
  clearInterval(view.playing);
  view.playing = on ? setInterval(() => stepTo(view.frame + 1), clamp(view.m.delay, 80, 400)) : null;
  for (const button of parts('[data-action="play"]')) {
    button.setAttribute("aria-pressed", String(on));
    button.setAttribute("aria-label", say(on ? "pause" : "play"));
    button.title = say(on ? "pause" : "play");
  }
}

for (const scrub of parts(".fm-strip input")) {
  scrub.addEventListener("input", () => { play(false); stepTo(Number(scrub.value)); });
}
