// The faces over the picture, and the words for one face.

import { curve, draw } from "./curve.js";

const percent = (share) => `${Math.round(share * 100)} %`;
const sure = (face) => Math.max(face.female_probability, 1 - face.female_probability);
const doubtful = (face) => face.status !== "ok";
const years = (face) => face.age_interval.map(Math.round);
const WORDS = { // as Reason.words in results.py
  dark: "too dark", bright: "too bright", cut_off: "cut off by the edge of the picture",
  unlike: "unusual face: covered, masked, or not a face",
};
const words = (reason) => WORDS[reason] ?? reason.replaceAll("_", " ");
const reasons = (face) => face.reasons.map(words).join("; ");
const STATUS = { ok: "ok", unsure: "unsure", poor: "poorly visible" };

// Who it seems to be, by the rule of the command line: grown up from 18 years, and a neutral
// word where no gender is given or the gender is unclear.
export function person(face) {
  const grown = face.age_probabilities.slice(18).reduce((sum, p) => sum + p, 0) >= 0.5;
  if (!face.gender || face.reasons.includes("gender_unclear")) {
    return grown ? "person" : face.age < 13 ? "child" : "young person";
  }
  if (face.gender === "female") return grown ? "woman" : "girl";
  return grown ? "man" : "boy";
}

export function label(face) {
  const [low, high] = years(face);
  return `${person(face)}, ${Math.round(face.age)} (${low}–${high})`;
}

export function sentence(face, number, count) {
  const [low, high] = years(face);
  const doubt = doubtful(face) ? `; ${STATUS[face.status]}: ${reasons(face)}` : "";
  const looks = face.gender ? `looks ${face.gender}, ${percent(sure(face))}` : "female or male: not given";
  return `Face ${number} of ${count}: about ${Math.round(face.age)} years, nine in ten between ${low} and ${high}; ${looks}${doubt}`;
}

// Draws the faces onto `svg`; `choose(index)` is called when one is pointed at or focused.
export function overlay(svg, picture, shown, chosen, choose) {
  const step = picture.width / Math.max(1, shown); // picture pixels per screen pixel
  svg.setAttribute("viewBox", `0 0 ${picture.width} ${picture.height}`);
  const labels = draw("g", { class: "labels", "aria-hidden": "true" });
  const nodes = picture.faces.map((face, index) => {
    const [left, top, right, bottom] = face.box;
    const node = draw("g", {
      class: `face ${face.gender ?? "neither"}${doubtful(face) ? " doubt" : ""}`, role: "button",
      "aria-label": sentence(face, index + 1, picture.faces.length),
    });
    node.style.setProperty("--dash", `${7 * step} ${4 * step}`);
    const box = { x: left, y: top, width: right - left, height: bottom - top, rx: 5 * step };
    node.append(
      draw("rect", { ...box, class: "dark", "stroke-width": 6 * step }),
      draw("rect", { ...box, class: "edge", "stroke-width": 3 * step }),
    );
    node.addEventListener("pointerenter", () => choose(index, false));
    node.addEventListener("click", () => choose(index, false));
    node.addEventListener("focus", () => choose(index, false));
    return node;
  });
  svg.replaceChildren(...nodes, labels);
  svg.ages = { nodes, labels, picture, step };
  mark(svg, chosen);
}

export function mark(svg, chosen) {
  if (!svg.ages) return;
  const { nodes, labels, picture, step } = svg.ages;
  nodes.forEach((node, index) => {
    node.classList.toggle("on", index === chosen);
    node.setAttribute("aria-pressed", String(index === chosen));
    node.setAttribute("tabindex", index === Math.max(0, chosen) ? 0 : -1);
  });
  labels.replaceChildren();
  // The chosen face has its whole label; the others what room there is: all, the age, nothing.
  const taken = [];
  const order = picture.faces.map((_, index) => index).sort((a, b) => (b === chosen) - (a === chosen));
  for (const index of order) {
    const face = picture.faces[index];
    const must = index === chosen;
    if (must) put(labels, face, label(face), picture, step, taken, true);
    else [label(face), String(Math.round(face.age))].some((text) => put(labels, face, text, picture, step, taken));
  }
}

function put(labels, face, text, picture, step, taken, must = false) {
  const [left, top, right, bottom] = face.box;
  const tag = draw("g", { class: must ? "label on" : "label" });
  const ground = draw("rect", { class: "tag", rx: 5 * step });
  const words = draw("text", { "font-size": 13 * step }, text);
  tag.append(ground, words);
  labels.append(tag);
  const wide = words.getComputedTextLength() + 14 * step, high = 22 * step, gap = 5 * step;
  const x = Math.min(Math.max(0, (left + right - wide) / 2), Math.max(0, picture.width - wide));
  const spots = [top - high - gap, bottom + gap].filter((y) => y >= 0 && y + high <= picture.height);
  if (!spots.length) spots.push(Math.max(0, bottom - high - 4 * step));
  const meets = (y) => taken.some((o) => x < o.x + o.wide && o.x < x + wide && y < o.y + high && o.y < y + high);
  const hides = (y) => picture.faces.some((other) => other !== face && x < other.box[2] && other.box[0] < x + wide && y < other.box[3] && other.box[1] < y + high);
  const y = spots.find((one) => !meets(one) && !hides(one)) ?? (must ? spots[0] : undefined);
  if (y === undefined) { tag.remove(); return false; }
  taken.push({ x, y, wide });
  for (const [name, value] of Object.entries({ x, y, width: wide, height: high })) ground.setAttribute(name, value);
  words.setAttribute("x", x + 7 * step);
  words.setAttribute("y", y + 15.5 * step);
  return true;
}

function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text) node.textContent = text;
  return node;
}

export function panel(face, number, count) {
  const which = element("p", "which");
  which.append(
    element("span", "", `Face ${number} of ${count}`),
    element("span", `chip ${face.status}`, STATUS[face.status]),
  );
  const age = element("p", "age");
  age.append(element("b", "", String(Math.round(face.age))), element("span", "", `years, a ${person(face)}`));
  const [low, high] = years(face);
  const parts = [which, age, element("p", "span", `${low} to ${high} years, nine times in ten`), curve(face), meter(face)];
  if (doubtful(face)) {
    const why = reasons(face);
    parts.push(element("p", "doubts", `${why[0].toUpperCase()}${why.slice(1)}: take these numbers with care.`));
  }
  const [left, top, right, bottom] = face.box;
  parts.push(
    element("p", "small more", `Doubt ${percent(face.doubt)}: the chance that the age is off by more than ten years, or the label wrong.`),
    element("p", "small", `${Math.round(right - left)} × ${Math.round(bottom - top)} px, found with score ${face.detection_score.toFixed(2)}`),
  );
  return parts;
}

function meter(face) {
  const box = element("div", "meter");
  const words = element("p", "meter-words");
  words.append(element("span", "", `female ${percent(face.female_probability)}`), element("span", "", `male ${percent(1 - face.female_probability)}`));
  const svg = draw("svg", { viewBox: "0 0 100 4", preserveAspectRatio: "none", "aria-hidden": "true" });
  const share = face.female_probability * 100;
  svg.append(
    draw("rect", { class: "f", width: share, height: 4 }),
    draw("rect", { class: "m", x: share, width: 100 - share, height: 4 }),
    draw("rect", { class: "half", x: 49.7, width: 0.6, height: 4 }),
  );
  box.append(words, svg);
  return box;
}
