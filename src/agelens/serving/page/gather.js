// Pictures from a drop, a folder or the clipboard.

const PICTURE = /\.(avif|bmp|gif|jfif|jp2|jpe|jpe?g|pbm|pgm|png|ppm|tiff?|webp)$/i;

export const isPicture = (file) => file.type.startsWith("image/") || PICTURE.test(file.name);

function readAll(reader) {
  return new Promise((done, failed) => reader.readEntries(done, failed));
}

async function walk(entry, found) {
  if (entry.isFile) {
    const file = await new Promise((done, failed) => entry.file(done, failed));
    if (isPicture(file)) found.push({ file, name: entry.fullPath.replace(/^\//, "") });
    return;
  }
  const reader = entry.createReader();
  for (let part = await readAll(reader); part.length; part = await readAll(reader)) {
    for (const child of part) if (!child.name.startsWith(".")) await walk(child, found);
  }
}

// A single file that is named outright is taken whatever it is called: the service judges it.
export async function fromTransfer(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) {
    return [...transfer.files].map((file) => ({ file, name: file.name }));
  }
  const found = [];
  for (const entry of entries) await walk(entry, found);
  return found;
}

export function fromInput(input) {
  const folder = input.webkitdirectory;
  const files = [...input.files].filter((file) => !folder || isPicture(file));
  return files.map((file) => ({ file, name: file.webkitRelativePath || file.name }));
}
