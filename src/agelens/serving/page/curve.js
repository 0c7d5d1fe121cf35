// The age distribution as a small curve.

const NS = "http://www.w3.org/2000/svg";
export function draw(tag, attributes = {}, text = "") {
  const node = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text) node.textContent = text;
  return node;
}

const WIDE = 300, HIGH = 96, FOOT = 18;

export function curve(face) {
  const p = face.age_probabilities;
  const [low, high] = face.age_interval;
  const last = Math.min(p.length - 1, Math.max(60, Math.ceil((high + 12) / 20) * 20));
  const most = Math.max(...p);
  const x = (age) => (age / last) * WIDE;
  const y = (value) => HIGH - (value / most) * (HIGH - 6);
  // Between whole ages the curve is read off straight lines.
  const at = (age) => {
    const k = Math.min(Math.max(0, Math.floor(age)), p.length - 2);
    return p[k] + (p[k + 1] - p[k]) * (age - k);
  };
  const line = (from, to) => {
    const ages = [from];
    for (let age = Math.floor(from) + 1; age < to; age += 1) ages.push(age);
    return [...ages, to].map((age) => `${x(age).toFixed(1)} ${y(at(age)).toFixed(1)}`).join(" L");
  };
  const area = (from, to) => `M${x(from)} ${HIGH} L${line(from, to)} L${x(to)} ${HIGH} Z`;
  const svg = draw("svg", { class: "curve", viewBox: `0 0 ${WIDE} ${HIGH + FOOT}`, role: "img" });
  svg.setAttribute("aria-label", `Age distribution: middle ${Math.round(face.age)}, nine in ten between ${Math.round(low)} and ${Math.round(high)} years`);
  svg.append(
    draw("path", { class: "area", d: area(0, last) }),
    draw("path", { class: "in", d: area(Math.max(0, low), Math.min(last, high)) }),
    draw("path", { class: "line", d: `M${line(0, last)}` }),
    draw("path", { class: "axis", d: `M0 ${HIGH} H${WIDE}` }),
    draw("path", { class: "mid", d: `M${x(face.age)} ${y(at(face.age))} V${HIGH}` }),
  );
  for (let age = 0; age <= last; age += 20) {
    const near = Math.min(Math.max(x(age), 6), WIDE - 8);
    svg.append(draw("text", { x: near, y: HIGH + 14 }, String(age)));
  }
  return svg;
}
