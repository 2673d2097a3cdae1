// The sheet with all settings that are changed rarely, and the weights that can be fetched. Part of controls.js's closure.

const ROLES = ["autoencoder", "classifier", "segmenter"];

function sheetMarkup() {
  const row = (id, control, extra = "") => `<div class="fm-set"><div><label for="${id}">${esc(say("set_" + id))}</label>
    <p id="${id}-help">${esc(say("set_" + id + "_help"))}</p></div><div>${control}${extra}</div></div>`;
  const model = (role) => row(role, `<select id="${role}" aria-describedby="${role}-help ${role}-facts"></select>
    <p class="fm-facts" id="${role}-facts"></p>`, `<div class="fm-offer" data-offer="${role}" hidden></div>`);
  const figure = (id, attributes) => row(id, `<input id="${id}" type="number" ${attributes} aria-describedby="${id}-help">`);
  return `<dialog class="fm-sheet" aria-labelledby="sheet-title">
    <header><h2 id="sheet-title">${esc(say("settings"))}</h2>
      <button type="button" data-close aria-label="${esc(say("close"))}">×</button></header>
    ${ROLES.map(model).join("")}
    ${figure("clips", 'min="1" max="10" step="1" inputmode="numeric"')}
    ${row("crops", `<select id="crops" aria-describedby="crops-help"><option value="1">1</option><option value="3">3</option></select>`)}
    ${figure("start", `min="0" max="60" step="0.1" placeholder="${esc(say("middle"))}"`)}
    ${figure("seconds", 'min="0.1" max="60" step="0.1" placeholder="2.56"')}
    <footer class="fm-end"><p>${esc(say("sheet_note"))}</p><button type="button" class="fm-primary" data-close>${esc(say("done_button"))}</button></footer>
  </dialog>`;
}

const entry = (role, name) => sheet.models[role].find((model) => model.name === name);

// Two digits at most, and minutes where seconds would be many.
const roughly = (seconds) => (seconds < 100 ? `${Number(seconds.toPrecision(seconds < 1 ? 1 : 2))} s` : `${Math.round(seconds / 60)} min`);

function facts(role, model) {
  if (!model.title) return say(role === "segmenter" ? "automatic_segments" : "automatic_models");
  const wait = model.wait && say("wait_here", { photo: roughly(model.wait.image), clip: roughly(model.wait.clip) });
  const weight = model.size && !model.here ? size(model.size) : "";
  return [model.summary, weight, model.licence, model.noncommercial && say("noncommercial"), wait].filter(Boolean).join(" · ");
}

function drawModels() {
  for (const role of ROLES) {
    const select = at(`#${role}`), shown = sheet.offer?.role === role ? sheet.offer.name : job[role];
    select.innerHTML = sheet.models[role].map((model) => {
      const other = model.kind && model.kind !== (state.clip ? "clip" : "image");
      const note = other ? ` (${say("only_" + model.kind)})` : model.here ? "" : ` (${size(model.size)})`;
      return `<option value="${esc(model.name)}"${model.name === shown ? " selected" : ""}${other ? " disabled" : ""}>${
        esc((model.title || say("automatic")) + note)}</option>`;
    }).join("");
    const model = entry(role, shown);
    at(`#${role}-facts`).textContent = model ? facts(role, model) : "";
    if (sheet.offer?.role !== role) at(`[data-offer=${role}]`).hidden = true;
  }
}

function drawOffer(said = {}) {
  const { role, name } = sheet.offer, box = at(`[data-offer=${role}]`), whole = entry(role, name).size;
  box.hidden = false;
  if (said.fraction !== undefined) {
    if (!box.querySelector("progress")) {
      box.innerHTML = `<progress max="100" aria-label="${esc(say("fetching", { name }))}"></progress><small></small>
        <button type="button" data-stop>${esc(say("cancel"))}</button>`;
    }
    box.querySelector("progress").value = Math.floor(100 * said.fraction);
    box.querySelector("small").textContent = `${size(said.fraction * whole)} / ${size(whole)}`;
    return;
  }
  box.innerHTML = `<small role="status">${esc(said.error || say("not_here", { size: size(whole) }))}</small>
    <button type="button" data-fetch>${esc(say("fetch"))}</button>`;
  box.classList.toggle("fm-failed", Boolean(said.error));
}

async function openSheet() {
  at(".fm-sheet").showModal();
  for (const id of ["clips", "crops"]) at(`#${id}`).value = job[id];
  for (const id of ["start", "seconds"]) at(`#${id}`).value = job[id] ?? "";
  drawModels();
  sheet.models = await server.models(); // what has been fetched since the page was made
  drawModels();
}

element.querySelector(".fm-controls").insertAdjacentHTML("beforeend", sheetMarkup());
at("#more").addEventListener("click", openSheet);
at(".fm-sheet").addEventListener("click", (event) => {
  if (event.target.closest("[data-close]") || event.target === event.currentTarget) at(".fm-sheet").close();
  if (event.target.closest("[data-fetch]")) {
    props.value = { ...job, offer: sheet.offer };
    trigger("fetch");
    drawOffer({ fraction: 0 });
  }
  if (event.target.closest("[data-stop]")) {
    trigger("unfetch");
    drawOffer();
  }
});
for (const role of ROLES) {
  at(`#${role}`).addEventListener("change", (event) => {
    const name = event.target.value;
    if (entry(role, name).here) {
      sheet.offer = null;
      drawModels();
      return role === "segmenter" ? anew({ segmenter: name }) : go({ [role]: name });
    }
    sheet.offer = { role, name }; // until it is here, the former choice goes on working
    drawModels();
    drawOffer();
  });
}
at("#clips").addEventListener("change", (event) => {
  const clips = Math.min(10, Math.max(1, Math.round(Number(event.target.value) || 1)));
  event.target.value = clips;
  anew({ clips, ...(clips > 1 && { start: null }) });
  if (clips > 1) at("#start").value = "";
});
at("#crops").addEventListener("change", (event) => anew({ crops: Number(event.target.value) }));
for (const id of ["start", "seconds"]) {
  at(`#${id}`).addEventListener("change", (event) => {
    const text = event.target.value, value = text === "" ? null : Math.max(id === "start" ? 0 : 0.1, Number(text));
    anew({ [id]: value, ...(id === "start" && value !== null && { clips: 1 }) });
    at("#clips").value = job.clips;
  });
}
watch("fetching", async () => {
  const said = props.fetching;
  if (!said || !sheet.offer || said.name !== sheet.offer.name) return;
  if (!said.ready) return drawOffer(said);
  const { role, name } = sheet.offer;
  sheet.offer = null;
  sheet.models = await server.models();
  drawModels();
  tell(say("fetched", { name }));
  show();
  role === "segmenter" ? anew({ segmenter: name }) : go({ [role]: name });
});
