// The page: takes pictures, has them predicted two at a time, shows one.

import * as api from "./api.js";
import * as camera from "./camera.js";
import { mark, overlay, panel, sentence } from "./faces.js";
import { fromInput, fromTransfer } from "./gather.js";
import * as save from "./save.js";

const $ = (id) => document.getElementById(id);
const AT_ONCE = 2;
const entries = []; // { name, file, url, state: waiting | sending | done | failed, result, error }
let current = null; // the entry that is shown
let chosen = 0; // its face
let limits = null;
let sending = 0;
let stopper = new AbortController();

const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;
const say = (text) => { $("live").textContent = text; };

function notice(text) {
  $("notice").textContent = text;
  $("notice").hidden = !text;
}

function take(given) {
  if (!given.length) { notice("No pictures in there."); return; }
  notice("");
  document.body.classList.add("busy");
  for (const { file, name } of given) {
    const entry = { file, name, url: URL.createObjectURL(file), state: "waiting", result: null, error: null };
    entries.push(entry);
    addThumb(entry);
    if (limits && file.size > limits.request_bytes) {
      finish(entry, null, `The file has ${file.size.toLocaleString("en")} bytes; the limit is ${limits.request_bytes.toLocaleString("en")}.`);
    }
  }
  $("result").hidden = false;
  show(entries[entries.length - given.length]);
  pump();
}

function pump() {
  progress();
  while (sending < AT_ONCE) {
    const entry = entries.find((one) => one.state === "waiting");
    if (!entry) return;
    send(entry);
  }
}

async function send(entry) {
  sending += 1;
  setState(entry, "sending");
  const { signal } = stopper;
  try {
    finish(entry, await api.predict(entry.file, entry.name, signal), null);
  } catch (error) {
    if (signal.aborted) finish(entry, null, "Stopped before it was looked at.");
    else if (error.status === 401) { setState(entry, "waiting"); askKey(error.message); }
    else finish(entry, null, error.message);
  } finally {
    sending -= 1;
  }
  if ($("key-form").hidden) pump();
}

function finish(entry, result, error) {
  if (!entries.includes(entry)) return;
  entry.result = result;
  entry.error = error;
  setState(entry, error ? "failed" : "done");
  if (entry === current) show(entry);
}

function progress() {
  const open = entries.filter((one) => one.state === "waiting" || one.state === "sending").length;
  const done = entries.length - open;
  const faces = entries.reduce((sum, one) => sum + (one.result?.faces.length ?? 0), 0);
  const text = `${done} of ${plural(entries.length, "picture")}, ${plural(faces, "face")}`;
  $("progress-box").hidden = !open || entries.length < 2;
  $("progress").max = entries.length || 1;
  $("progress").value = done;
  $("progress-text").textContent = text;
  if (!open && entries.length > 1) say(`Finished: ${text}`);
}

function askKey(message) {
  $("key-form").hidden = false;
  if (message.includes("wrong")) notice("The service does not know this key.");
  $("key").focus();
}

function addThumb(entry) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  const image = document.createElement("img");
  image.src = entry.url;
  image.alt = "";
  image.loading = "lazy";
  image.addEventListener("error", () => image.remove()); // this browser cannot show it
  const count = document.createElement("span");
  count.className = "count";
  count.setAttribute("aria-hidden", "true");
  button.append(image, count);
  button.addEventListener("click", () => { show(entry); $("stage").scrollIntoView({ block: "nearest" }); });
  item.append(button);
  entry.button = button;
  entry.item = item;
  $("strip").append(item);
  setState(entry, "waiting");
  $("strip").hidden = entries.length < 2;
}

function setState(entry, state) {
  entry.state = state;
  const faces = entry.result?.faces.length ?? 0;
  const words = { waiting: "waiting", sending: "being looked at", failed: "failed", done: plural(faces, "face") }[state];
  entry.item.className = state;
  entry.button.title = entry.name;
  entry.button.setAttribute("aria-label", `${entry.name}: ${words}`);
  entry.button.querySelector(".count").textContent = { waiting: "…", sending: "…", failed: "!", done: String(faces) }[state];
}

function show(entry) {
  if (entry !== current) chosen = 0;
  current = entry;
  for (const one of entries) one.button.setAttribute("aria-current", String(one === entry));
  $("name").textContent = entry.name;
  const picture = $("picture");
  if (picture.src !== entry.url) {
    picture.classList.remove("blank");
    picture.src = entry.url;
  }
  const { result } = entry;
  const faces = result?.faces ?? [];
  $("facts").textContent = result ? `${result.width} × ${result.height} px, ${plural(faces.length, "face")}` : "";
  $("hint").hidden = !faces.length;
  $("save").disabled = !result || picture.classList.contains("blank");
  $("faces").replaceChildren();
  $("faces").ages = null;
  if (entry.error) empty("This picture could not be used", entry.error, true);
  else if (!result) empty("Looking for faces …", "");
  else if (!faces.length) empty("No face found", "Faces should be at least some 20 pixels wide and not turned far away.");
  else { choose(chosen, true); redraw(); }
  picture.alt = faces.length ? `${entry.name}, ${plural(faces.length, "face")}` : entry.name;
  if (result && entries.length === 1) say(faces.length ? `${plural(faces.length, "face")}. ${sentence(faces[0], 1, faces.length)}` : "No face found");
}

function empty(title, text, failed = false) {
  const box = document.createElement("div");
  box.className = failed ? "empty failed" : "empty";
  const bold = document.createElement("b");
  bold.textContent = title;
  const words = document.createElement("p");
  words.className = "small";
  words.textContent = text;
  box.append(bold, words);
  $("face").replaceChildren(box);
}

function redraw() {
  if (!current?.result?.faces.length) return;
  const picture = $("picture");
  if (picture.classList.contains("blank")) picture.style.aspectRatio = `${current.result.width} / ${current.result.height}`;
  else picture.style.aspectRatio = "";
  const wide = $("frame").clientWidth;
  if (wide) overlay($("faces"), current.result, wide, chosen, choose);
}

function choose(index, anew) {
  const faces = current.result.faces;
  if (index === chosen && !anew) return;
  chosen = Math.min(index, faces.length - 1);
  $("face").replaceChildren(...panel(faces[chosen], chosen + 1, faces.length));
  mark($("faces"), chosen);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch { // not a secure page: the old way
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  $("copy").textContent = "Copied";
  say("JSON copied");
  setTimeout(() => { $("copy").textContent = "Copy JSON"; }, 1600);
}

function clear() {
  stopper.abort();
  stopper = new AbortController();
  for (const entry of entries.splice(0)) { URL.revokeObjectURL(entry.url); entry.item.remove(); }
  current = null;
  $("picture").removeAttribute("src");
  $("faces").replaceChildren();
  $("result").hidden = true;
  document.body.classList.remove("busy");
  notice("");
  progress();
  say("Cleared");
  $("choose").focus();
}

function setTheme(dark) {
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  $("theme").textContent = dark ? "Light" : "Dark";
  $("theme").setAttribute("aria-label", dark ? "Use light colours" : "Use dark colours");
  $("theme").removeAttribute("aria-pressed");
}

function wire() {
  const system = matchMedia("(prefers-color-scheme: dark)");
  setTheme(system.matches);
  system.addEventListener("change", () => setTheme(system.matches));
  $("theme").addEventListener("click", () => setTheme(document.documentElement.dataset.theme !== "dark"));

  for (const [button, input] of [["choose", "files"], ["folder", "folder-files"]]) {
    $(button).addEventListener("click", () => $(input).click());
    $(input).addEventListener("change", (event) => { take(fromInput(event.target)); event.target.value = ""; });
  }
  camera.wire(take);

  let depth = 0;
  const over = (change) => { depth = Math.max(0, depth + change); $("drop").classList.toggle("over", depth > 0); };
  addEventListener("dragenter", (event) => { event.preventDefault(); over(1); });
  addEventListener("dragleave", () => over(-1));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", async (event) => {
    event.preventDefault();
    depth = 0;
    over(0);
    take(await fromTransfer(event.dataTransfer));
  });
  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) take(files.map((file) => ({ file, name: file.name || "pasted.png" })));
  });

  $("faces").addEventListener("keydown", (event) => {
    const turn = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const count = current?.result?.faces.length ?? 0;
    const to = event.key === "Home" ? 0 : event.key === "End" ? count - 1 : turn && (chosen + turn + count) % count;
    if (!count || to === undefined) return;
    event.preventDefault();
    choose(to, false);
    $("faces").children[to].focus();
  });
  $("picture").addEventListener("load", redraw);
  $("picture").addEventListener("error", () => { // a format this browser cannot show
    if (!$("picture").getAttribute("src")) return;
    $("picture").classList.add("blank");
    $("save").disabled = true;
    redraw();
  });
  new ResizeObserver(redraw).observe($("frame"));

  $("copy").addEventListener("click", () => copy(save.json(entries)));
  $("csv").addEventListener("click", () => save.download(new Blob([save.csv(entries)], { type: "text/csv" }), "agelens.csv"));
  $("save").addEventListener("click", async () => {
    const blob = await save.annotated($("picture"), current.result);
    const stem = current.name.split("/").pop().replace(/\.[^.]*$/, "");
    save.download(blob, `${stem}-agelens.png`);
  });
  $("clear").addEventListener("click", clear);
  $("stop").addEventListener("click", () => {
    for (const entry of entries) if (entry.state === "waiting") finish(entry, null, "Stopped before it was looked at.");
    stopper.abort();
    stopper = new AbortController();
    progress();
  });
  $("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    api.useKey($("key").value.trim());
    $("key").value = "";
    $("key-form").hidden = true;
    notice("");
    greet();
    pump();
  });
}

async function greet() {
  try {
    const answer = await api.models();
    limits = answer.limits;
    $("model").textContent = answer.models[0].name;
    $("model").title = `Model: ${answer.models[0].name}`;
    $("model").hidden = false;
  } catch (error) {
    if (error.status === 401) askKey(error.message);
    else notice(error.message);
  }
}

wire();
greet();
