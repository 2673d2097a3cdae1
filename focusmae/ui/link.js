// The address of what is shown: every setting and the example's name; never an upload's. Part of controls.js's closure.

const LINKED = { // name in the address -> [name in the job, how to read it]
  example: ["source", (text) => given.examples.some((e) => e.key === text) ? text : undefined],
  keep: ["keep", (text) => number(text, 5, 90)],
  seed: ["seed", (text) => number(text, 0, 999999)],
  left: ["left", (text) => named(text, given.strategies)],
  right: ["right", (text) => named(text, given.strategies)],
  autoencoder: ["autoencoder", (text) => named(text, given.models.autoencoder)],
  classifier: ["classifier", (text) => named(text, given.models.classifier)],
  segmenter: ["segmenter", (text) => named(text, given.segmenters)],
  text: ["text", (text) => text.slice(0, 80)],
  clips: ["clips", (text) => number(text, 1, 10)],
  crops: ["crops", (text) => (text === "3" ? 3 : 1)],
  start: ["start", (text) => real(text, 0, 60)],
  seconds: ["seconds", (text) => real(text, 0.1, 60)],
  focus: ["focus", (text) => rows(text, 2)],
  clicks: ["clicks", (text) => rows(text, 4)],
};

function number(text, low, high) {
  const value = Math.round(Number(text));
  return Number.isFinite(value) ? Math.min(high, Math.max(low, value)) : undefined;
}

function real(text, low, high) {
  const value = Number(text);
  return text !== "" && Number.isFinite(value) ? Math.min(high, Math.max(low, value)) : undefined;
}

// "3:2,5:-1.5" -> [[3, 2], [5, -1.5]]
const rows = (text, length) => text.split(",").map((row) => row.split(":").map(Number))
  .filter((row) => row.length === length && row.every(Number.isFinite));

const named = (text, rows) => (rows.some(({ name }) => name === text) ? text : undefined);

// The settings that an address names; what it does not name or misspells stays as it is, and is told.
function read(query) {
  const found = {}, strange = [];
  for (const [key, [name, parse]] of Object.entries(LINKED)) {
    if (!query.has(key)) continue;
    const value = parse(query.get(key));
    if (value === undefined) strange.push(key);
    else found[name] = value;
  }
  if (strange.length) tell(say("link_strange", { names: strange.join(", ") }), 60);
  return found;
}

function address() {
  const url = new URL(location.href);
  for (const key of Object.keys(LINKED)) url.searchParams.delete(key);
  for (const [key, [name]] of Object.entries(LINKED)) {
    const value = job[name], standard = given.defaults[name];
    const always = ["keep", "seed", "left", "right"].includes(key);
    if (key === "example" ? given.examples.some((e) => e.key === value)
      : Array.isArray(value) ? value.length
      : always || (value !== standard && value !== null && value !== "")) {
      url.searchParams.set(key, Array.isArray(value) ? value.map((row) => row.join(":")).join(",") : value);
    }
  }
  return url.href;
}

const TAB = "focusmae-upload"; // an upload outlives a reload in this tab alone

function remember() {
  history.replaceState(history.state, "", address());
  try {
    if (given.examples.some((e) => e.key === job.source)) sessionStorage.removeItem(TAB);
    else sessionStorage.setItem(TAB, JSON.stringify({ source: job.source, name: job.name, clip: state.clip }));
  } catch { /* no storage, no memory */ }
}

function recall() {
  try {
    return JSON.parse(sessionStorage.getItem(TAB) || "null");
  } catch {
    return null;
  }
}

// --- the first sight: a finished example, or what the address asks for ------------------------------------------

function begin() {
  const query = new URLSearchParams(location.search), found = read(query), upload = query.has("example") ? null : recall();
  if (upload) {
    state.clip = upload.clip;
    preview(null, upload.clip, upload.name);
  } else {
    choose(given.examples.find((e) => e.key === (found.source ?? given.defaults.source)));
  }
  if (upload || Object.keys(found).length) return go({ ...found, ...(upload && { source: upload.source, name: upload.name }) });
  show();
  state.shipped = true;
  props.value = job;
  trigger("open");
}
begin();
