// Everything that is asked: input, budget, draw, arms. One job, sent whole whenever the visitor has changed something.
// Runs once, with element, props, trigger, watch, upload and server; picker.js, sheet.js, intro.js and link.js follow in its closure.

const { whenViewer, size } = window.focusmae;
const given = props.given; // what can be chosen; see controls.py
let job = { ...given.defaults };
const sheet = { models: given.models, offer: null };
const state = { tokens: 0, clip: false, timer: 0, uploading: 0, shipped: false, running: false, wanted: false };

const at = (selector) => element.querySelector(selector);
const options = (rows, chosen) => rows.map(({ name, title }) =>
  `<option value="${esc(name)}"${name === chosen ? " selected" : ""}>${esc(title)}</option>`).join("");

function markup() {
  const arm = (id, mark, rows) => `<label class="fm-field ${mark}"><span class="fm-label"><i></i>${esc(say(id))}</span>
    <select id="${id}">${options(rows, job[id])}</select></label>`;
  return `<div class="fm-controls">
  <div id="picker">
    <label class="fm-drop"><input type="file" accept="${esc(given.limits.extensions)}" aria-label="${esc(say("drop"))}">
      <span class="fm-preview"></span>
      <span class="fm-words"><b>${esc(say("drop"))}</b><span class="fm-hint">${esc(say("browse"))}</span></span></label>
    <div class="fm-thumbs" role="group" aria-label="${esc(say("examples"))}"></div>
  </div>
  <div id="keep" class="fm-field"><label for="keep-range" class="fm-label">${esc(say("keep"))}
      <small class="fm-note"></small><output></output></label>
    <input id="keep-range" type="range" min="5" max="90" step="1"></div>
  <div class="fm-pair">
    <label class="fm-field"><span class="fm-label">${esc(say("seed"))}</span>
      <input id="seed" type="number" min="0" max="999999" step="1" inputmode="numeric"></label>
    <button type="button" id="next">${esc(say("next_draw"))}</button>
  </div>
  <div class="fm-pair">${arm("left", "fm-a", given.strategies)}${arm("right", "fm-b", given.strategies)}</div>
  <label class="fm-field" data-part="text" hidden><span class="fm-label">${esc(say("focus_on"))}<small>GroupViT</small></span>
    <input id="text" type="text" maxlength="80" placeholder="${esc(say("focus_on_example"))}"></label>
  <div class="fm-pair">
    <button type="button" id="compare" class="fm-primary">${esc(say("compare"))}</button>
    <button type="button" id="cancel" class="fm-primary" hidden>${esc(say("cancel"))}</button>
    <button type="button" id="more" aria-haspopup="dialog">${esc(say("settings"))}</button>
  </div>
  <div class="fm-take" role="group" aria-label="${esc(say("take"))}">
    <button type="button" id="download">${esc(say("download"))}</button>
    <button type="button" id="copy-link">${esc(say("copy_link"))}</button>
    <button type="button" id="copy-python">${esc(say("copy_python"))}</button>
    <button type="button" id="copy-command">${esc(say("copy_command"))}</button>
  </div>
  <p class="fm-told" role="status" aria-live="polite"></p>
</div>`;
}

// --- asking ----------------------------------------------------------------------------------------------------

function go(change = {}) {
  clearTimeout(state.timer);
  job = { ...job, ...change };
  show();
  remember();
  trigger("halt"); // what goes on in the background belongs to the former picture
  ask();
}

// One run at a time: while it goes on, only the newest wish is kept.
function ask() {
  props.value = job;
  state.wanted = state.running;
  if (state.running) return;
  state.running = true;
  trigger("go");
}

document.addEventListener("focusmae-free", () => {
  state.running = false;
  if (state.wanted) ask();
});

const soon = (change) => { // for what changes in quick steps
  clearTimeout(state.timer);
  job = { ...job, ...change };
  show();
  state.timer = setTimeout(go, 200);
};

// Whatever names another set of segments also makes the visitor's own weights meaningless.
const anew = (change) => go({ ...change, focus: [], clicks: [] });

function budget() {
  const n = state.tokens || (state.clip ? given.tokens.clip : given.tokens.photo);
  return { n, k: Math.max(1, Math.floor(n * job.keep / 100 + 1e-9)) };
}

// The fields from the job.
function show() {
  const range = at("#keep-range"), { min, max } = range;
  range.value = job.keep;
  range.style.setProperty("--fm-part", `${100 * (job.keep - min) / (max - min)}%`);
  range.setAttribute("aria-valuetext", say("of_patches", budget()));
  at("#keep output").textContent = `${job.keep} %`;
  at("#keep .fm-note").textContent = say("of_patches", budget());
  for (const id of ["seed", "left", "right", "text"]) if (document.activeElement !== at(`#${id}`)) at(`#${id}`).value = job[id];
  at("[data-part=text]").hidden = !sheet.models.segmenter.some(({ name, here }) => name === given.reader && here);
  for (const [id, other] of [["left", "right"], ["right", "left"]]) {
    for (const option of at(`#${id}`).options) option.disabled = option.value === job[other];
  }
  element.dispatchEvent(new Event("shown"));
}

function tell(text, seconds = 8) {
  at(".fm-told").textContent = text;
  clearTimeout(state.telling);
  state.telling = setTimeout(() => { at(".fm-told").textContent = ""; }, 1000 * seconds);
}

element.innerHTML = markup();

at("#keep-range").addEventListener("input", (event) => soon({ keep: Number(event.target.value) }));
at("#seed").addEventListener("change", (event) => {
  const seed = Math.floor(Number(event.target.value));
  go({ seed: Number.isFinite(seed) ? Math.min(999999, Math.max(0, seed)) : 0 });
});
at("#next").addEventListener("click", () => go({ seed: job.seed + 1 }));
for (const id of ["left", "right"]) at(`#${id}`).addEventListener("change", (event) => go({ [id]: event.target.value }));
at("#text").addEventListener("change", (event) => anew({ text: event.target.value.trim() }));
at("#compare").addEventListener("click", () => { state.running = false; go(); }); // whatever went wrong before
at("#cancel").addEventListener("click", () => { state.wanted = false; trigger("cancel"); });
element.addEventListener("keyup", (event) => event.stopPropagation()); // the fields answer by themselves

// --- what the others say ---------------------------------------------------------------------------------------

whenViewer((root) => {
  const follow = () => {
    const busy = root.classList.contains("fm-busy"), focused = document.activeElement === at(busy ? "#compare" : "#cancel");
    at("#compare").hidden = busy;
    at("#cancel").hidden = !busy;
    if (focused) at(busy ? "#cancel" : "#compare").focus();
    if (!busy) state.tokens = Number(root.dataset.tokens || 0); // while it works, that of the former input
    at("#keep .fm-note").textContent = say("of_patches", budget());
  };
  const prove = () => { // a new picture stands there: is it luck?
    if (state.shipped) { state.shipped = false; return; } // that one came with its evidence
    trigger("halt");
    trigger("prove");
  };
  new MutationObserver((changes) => {
    follow();
    if (changes.some((change) => change.attributeName === "data-run")) prove();
  }).observe(root, { attributes: true, attributeFilter: ["class", "data-tokens", "data-run"] });
  follow();
});

watch("focused", () => { // segments were raised or lowered in the viewer
  const { focus, click } = props.focused ?? {};
  if (focus) go({ focus });
  if (click) go({ clicks: [...job.clicks, click] }); // a segment is drawn, or taken away, around that place
});

// --- take it with you ------------------------------------------------------------------------------------------

async function copy(text, done) {
  try {
    await navigator.clipboard.writeText(text);
  } catch { // without permission or without https
    const box = Object.assign(document.createElement("textarea"), { value: text });
    document.body.append(box);
    box.select();
    document.execCommand("copy");
    box.remove();
  }
  tell(done);
}

at("#copy-link").addEventListener("click", () => copy(address(), say(given.examples.some((e) => e.key === job.source)
  ? "copied_link" : "copied_link_upload")));
for (const kind of ["python", "command"]) {
  at(`#copy-${kind}`).addEventListener("click", async () => {
    const made = await server.reproduce(job);
    made.error ? tell(made.error) : copy(made[kind], say(`copied_${kind}`));
  });
}
at("#download").addEventListener("click", () => {
  tell(say("packing"));
  props.value = job;
  trigger("pack");
});
watch("packed", () => {
  if (!props.packed) return;
  if (props.packed.error) return tell(props.packed.error);
  tell(say("packed"));
  setTimeout(() => document.querySelector("#packed").click(), 50); // once Gradio has given it its file
});
