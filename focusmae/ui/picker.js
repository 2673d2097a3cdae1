// The drop zone and the examples: a file goes up through Gradio's own upload, an example by its name.

const given = props.value, limits = given.limits;

function preview(url, clip, name) {
  const box = element.querySelector(".fm-preview");
  box.innerHTML = clip ? `<video muted playsinline preload="metadata"></video>` : `<img alt="">`;
  box.firstElementChild.src = url;
  box.firstElementChild.addEventListener("error", () => { box.textContent = name; });
}

function current(key) {
  for (const button of element.querySelectorAll(".fm-thumb")) {
    button.setAttribute("aria-pressed", String(button.dataset.example === key));
  }
}

function choose(example) {
  preview(example.thumb, false, say(example.word));
  current(example.key);
}

async function send(file) {
  if (!file) return;
  current(null);
  preview(URL.createObjectURL(file), file.type.startsWith("video/"), file.name);
  if (file.size > limits.bytes || file.size === 0) return trigger("refused", { empty: file.size === 0 });
  const note = element.querySelector(".fm-hint");
  note.textContent = say("uploading");
  try {
    const { path } = await upload(file);
    trigger("pick", { path });
  } catch {
    trigger("refused", {});
  }
  note.textContent = say("browse");
}

element.innerHTML = `<div class="fm-picker">
  <label class="fm-drop"><input type="file" accept="${esc(limits.extensions)}" aria-label="${esc(say("drop"))}">
    <span class="fm-preview"></span>
    <span class="fm-words"><b>${esc(say("drop"))}</b><span class="fm-hint">${esc(say("browse"))}</span></span></label>
  <div class="fm-thumbs" role="group" aria-label="${esc(say("examples"))}"></div></div>`;

element.querySelector(".fm-thumbs").innerHTML = given.examples.map((example) => `<button type="button" class="fm-thumb"
  data-example="${esc(example.key)}" aria-pressed="false" title="${esc(say(example.word))}" aria-label="${esc(say(example.word))}">
  <img src="${example.thumb}" alt="">${example.clip ? '<i class="fm-clip"></i>' : ""}</button>`).join("");

const input = element.querySelector("input"), zone = element.querySelector(".fm-drop");
input.addEventListener("change", () => { send(input.files[0]); input.value = ""; });
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
  choose(given.examples.find((example) => example.key === button.dataset.example));
  trigger("pick", { example: button.dataset.example });
});
choose(given.examples[0]);
