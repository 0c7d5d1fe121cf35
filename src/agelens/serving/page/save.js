// Keeping the results: JSON, CSV, and the picture with its faces drawn in.

import { label } from "./faces.js";

const COLUMNS = ["file", "face", "age", "age_low", "age_high", "gender", "female_probability",
  "status", "reasons", "doubt", "left", "top", "right", "bottom", "detection_score", "error"];
const COLOURS = { female: "#e69f00", male: "#56b4e9", neither: "#d5dae1" };

export function json(entries) {
  return JSON.stringify(entries.map((entry) => ({
    file: entry.name,
    width: entry.result?.width ?? 0,
    height: entry.result?.height ?? 0,
    faces: (entry.result?.faces ?? []).map(({ age_probabilities: _, ...face }) => face),
    error: entry.error ?? null,
  })), null, 2);
}

const cell = (value) => {
  const text = String(value ?? "");
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

// The columns of `agelens predict --format csv`.
export function csv(entries) {
  const rows = [COLUMNS];
  for (const entry of entries) {
    const faces = entry.result?.faces ?? [];
    if (!faces.length) rows.push([entry.name, 0, ...Array(COLUMNS.length - 3).fill(""), entry.error ?? ""]);
    faces.forEach((face, index) => rows.push([entry.name, index + 1, face.age, ...face.age_interval,
      face.gender, face.female_probability, face.status, face.reasons.join(" "), face.doubt,
      ...face.box, face.detection_score, ""]));
  }
  return rows.map((row) => row.map(cell).join(",")).join("\n") + "\n";
}

export function download(content, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

export function annotated(image, picture) {
  const canvas = document.createElement("canvas");
  canvas.width = picture.width;
  canvas.height = picture.height;
  const pen = canvas.getContext("2d");
  pen.drawImage(image, 0, 0, picture.width, picture.height);
  const unit = Math.max(1, Math.hypot(picture.width, picture.height) / 700);
  pen.textBaseline = "middle";
  pen.font = `600 ${14 * unit}px system-ui, sans-serif`;
  for (const face of picture.faces) {
    const [left, top, right, bottom] = face.box;
    for (const [colour, wide] of [["#11161c", 5], [COLOURS[face.gender ?? "neither"], 2.6]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = wide * unit;
      pen.setLineDash(colour === "#11161c" || face.status === "ok" ? [] : [7 * unit, 4 * unit]);
      pen.strokeRect(left, top, right - left, bottom - top);
    }
    const text = label(face);
    const wide = pen.measureText(text).width + 12 * unit, high = 22 * unit;
    const x = Math.min(Math.max(0, (left + right - wide) / 2), Math.max(0, picture.width - wide));
    const y = top - high - 4 * unit >= 0 ? top - high - 4 * unit : Math.min(bottom + 4 * unit, picture.height - high);
    pen.fillStyle = "#11161ce6";
    pen.fillRect(x, y, wide, high);
    pen.fillStyle = "#fff";
    pen.fillText(text, x + 6 * unit, y + high / 2);
  }
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}
