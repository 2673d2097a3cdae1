// Switches: what each button changes, and how they show what is on.

const ACTIONS = {
  play: () => play(view.playing === null),
  outlines: () => { view.outlined = !view.outlined; },
  colours: () => { view.tinted = !view.tinted; },
  pasted: () => { view.pasted = true; },
  alone: () => { view.pasted = false; },
  truth: () => { view.truth = !view.truth; },
  experts: () => { view.third = "experts"; },
  chance: () => { view.third = "chance"; },
  fit: () => { view.third = "fit"; },
  scale: (button, name) => { view.scale = name; showScale(); },
  mode: (button, name) => { view.mode = name; },
  combine: (button, name) => { view.combine = name; showSaid(); },
  reset_focus: () => { view.focus.clear(); wished(); },
  zoom_in: () => zoomBy(STEP),
  zoom_out: () => zoomBy(1 / STEP),
  zoom_reset: () => zoomTo(1),
  swipe: () => openSwipe(),
  close_swipe: () => part("swipe").close(),
  fold: (button) => {
    const open = root.classList.toggle("fm-open");
    button.setAttribute("aria-expanded", String(open));
    button.textContent = say(open ? "hide_all" : "show_all");
  },
};

// The buttons on the first column's pictures move into the rows' heads where pictures are too small for them.
const narrow = matchMedia("(max-width: 960px)");

function placePills() {
  for (const [name, row] of [["first", "sees"], ["third", "errs"]]) {
    const pane = root.querySelector(`[data-pane="${row}:0"]`);
    (narrow.matches ? pane.previousElementSibling : pane).append(part(name));
  }
}

narrow.addEventListener("change", placePills);
placePills();

const PRESSED = {
  outlines: () => view.outlined, colours: () => view.tinted, truth: () => view.truth,
  pasted: () => view.pasted, alone: () => !view.pasted,
  experts: () => view.third === "experts", chance: () => view.third === "chance",
  fit: () => view.third === "fit",
  scale: (name) => view.scale === name, mode: (name) => view.mode === name, combine: (name) => view.combine === name,
};

function press() {
  for (const button of parts("[data-action]")) {
    const [action, name] = button.dataset.action.split(":");
    if (action in PRESSED) button.setAttribute("aria-pressed", String(PRESSED[action](name)));
  }
}

root.addEventListener("click", (event) => {
  const button = event.target.closest("[data-action]"), [action, name] = button?.dataset.action.split(":") ?? [];
  if (!button || (!view.m && action !== "fold")) return;
  ACTIONS[action](button, name);
  press();
  paint();
});

// The bar under "it errs": one map for errors, blue to orange for who errs less.
function showScale() {
  const m = view.m, bar = part("scale").querySelector("i"), [low, high] = part("scale").querySelectorAll("small span");
  const differ = view.scale === "difference", ends = m.arms.map((arm) => scaleOf(m, arm).toFixed(2));
  bar.style.background = differ ? "" : ramp(MAGMA);
  bar.classList.toggle("fm-diverging", differ);
  low.innerHTML = differ ? `<b class="fm-a">${m.gap_scale.toFixed(2)}</b>` : "0";
  high.innerHTML = differ ? `<b class="fm-b">${m.gap_scale.toFixed(2)}</b>`
    : view.scale === "own" ? ends.map((end, i) => `<b class="${ARM_CLASSES[i]}">${end}</b>`).join(" ") : ends[0];
  part("scale-note").hidden = !differ;
  part("scale").title = say(differ ? "difference_help" : view.scale + "_help");
  part("third").hidden = differ;
  part("difference-note").hidden = !differ;
}

// The likeliest labels of each column, by the chosen way of combining the views.
function showSaid() {
  const m = view.m, several = m.views.length > 1, said = several ? m.combined[view.combine] : null;
  const first = (said ? said.full : m.full)[0]?.label, columns = [null, ...m.arms];
  part("combine").hidden = !several;
  columns.forEach((arm, i) => {
    const found = said ? (arm ? said.strategies[arm.name] : said.full) : (arm ? arm.prediction : m.full);
    part(`bars-${i}`).innerHTML = bars(found, first) + (several ? viewList(m, arm, first) : "");
  });
}
