// The drop zone and the examples: a file goes up through Gradio's own upload, an example by its name.
// Part of controls.js's closure.

function preview(url, clip, name) {
  const box = at(".fm-preview");
  if (!url) { box.textContent = name; return; }
  box.innerHTML = clip ? `<video muted playsinline preload="metadata"></video>` : `<img alt="">`;
  box.firstElementChild.src = url;
  box.firstElementChild.addEventListener("error", () => { box.textContent = name; });
}

function mark(key) {
  for (const button of element.querySelectorAll(".fm-thumb")) {
    button.setAttribute("aria-pressed", String(button.dataset.example === key));
  }
}

function choose(example) {
  state.clip = example.clip;
  state.tokens = 0;
  preview(example.thumb, false, say(example.word));
  mark(example.key);
}

async function send(file) {
  if (!file) return;
  const turn = ++state.uploading, clip = file.type.startsWith("video/") || file.type === "image/gif";
  mark(null);
  preview(URL.createObjectURL(file), file.type.startsWith("video/"), file.name);
  if (file.size > given.limits.bytes || file.size === 0) return trigger("refused", { empty: file.size === 0 });
  const note = at(".fm-hint");
  note.textContent = say("uploading");
  try {
    const { path } = await upload(file);
    if (turn !== state.uploading) return; // another choice was made meanwhile
    state.clip = clip;
    state.tokens = 0;
    anew({ source: path, name: file.name, start: null, seconds: null });
  } catch {
    trigger("refused", {});
  } finally {
    note.textContent = say("browse");
  }
}

function thumbs() {
  const thumb = (example) => `<button type="button" class="fm-thumb" data-example="${esc(example.key)}" aria-pressed="false"
    title="${esc(say(example.word))}" aria-label="${esc(say(example.word))}"><img src="${example.thumb}" alt="">${
    example.clip ? '<i class="fm-clip"></i>' : ""}</button>`;
  at(".fm-thumbs").innerHTML = given.examples.map(thumb).join("")
    + `<small class="fm-rendered">${esc(say("rendered_note"))}</small>`;
}

thumbs();
const file = at("input[type=file]"), zone = at(".fm-drop");
file.addEventListener("change", () => { send(file.files[0]); file.value = ""; });
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  zone.addEventListener(kind, (event) => {
    event.preventDefault();
    zone.classList.toggle("fm-over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop") send(event.dataTransfer.files[0]);
  });
}
element.addEventListener("click", (event) => {
  const button = event.target.closest(".fm-thumb");
  if (!button) return;
  const example = given.examples.find(({ key }) => key === button.dataset.example);
  state.uploading++;
  choose(example);
  anew({ source: example.key, name: "", start: null, seconds: null });
});
