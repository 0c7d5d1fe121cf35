// What every peer program in Node.js runs: worker.py, with TensorFlow.js on WebAssembly.
//
// One thread, SIMD where the processor has it. A peer gives { versions, model, others, pipeline,
// cut, network }: pipeline(tensor) answers { age, gender } or null; cut(tensor) gives what
// network(...) takes, or null.

import { readSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const require = createRequire(import.meta.url);
export const tf = require('@tensorflow/tfjs');
const wasm = require('@tensorflow/tfjs-backend-wasm');

// Packages log where they like: all but the answers goes to the other end.
console.log = console.info = console.warn = console.error;

/** Where a package, or a file of it, is. Not every file that we need is among its "exports". */
export const inside = (name) => path.join(import.meta.dirname, 'node_modules', name);

export const load = (name) => require(inside(name));

export const version = (name) => load(`${name}/package.json`).version;

/** Start the backend. Call it before a package that brings its own settings. */
export async function start() {
  wasm.setThreadsCount(1);
  wasm.setWasmPaths(`${inside('@tensorflow/tfjs-backend-wasm/dist')}/`);
  await tf.setBackend('wasm');
  await tf.ready();
}

/** The command line: words, and the numbers after --side and --time. */
export function given() {
  const words = process.argv.slice(2);
  const number = (name) => {
    const place = words.indexOf(name);
    return place < 0 ? 0 : Number(words.splice(place, 2)[1]);
  };
  return { side: number('--side'), time: number('--time'), words };
}

/** Write what answers, then the answers on the pictures or, with --time, the times. */
export async function serve(peer, side, rounds) {
  if (tf.getBackend() !== 'wasm') throw new Error(`backend ${tf.getBackend()}: expected wasm`);
  const bytes = (files) => files.reduce((sum, file) => sum + statSync(file).size, 0);
  const model = bytes(peer.model);
  const versions = { node: process.versions.node, '@tensorflow/tfjs': tf.version.tfjs };
  write({
    versions: { ...versions, ...peer.versions },
    weights: { model, pipeline: model + bytes(peer.others) },
  });
  if (rounds) write(await timed(peer, [...pictures(side)], rounds));
  else {
    for (const picture of pictures(side)) {
      write(await peer.pipeline(picture));
      picture.dispose();
    }
  }
}

function write(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** The pictures on standard input, as tensors (side, side, 3) of 0 to 255. */
function* pictures(side) {
  const data = Buffer.alloc(side * side * 3);
  for (;;) {
    let filled = 0;
    while (filled < data.length) {
      const more = readSync(0, data, filled, data.length - filled);
      if (more === 0) return;
      filled += more;
    }
    yield tf.tensor3d(new Float32Array(data), [side, side, 3]);
  }
}

/** The milliseconds that a face takes in each round, for the pipeline and for the network. */
async function timed(peer, all, rounds) {
  const cuts = [];
  for (const picture of all) {
    const cut = await peer.cut(picture);
    if (cut !== null) cuts.push(cut);
  }
  const parts = { pipeline: [peer.pipeline, all], model: [peer.network, cuts] };
  const times = { pipeline: [], model: [] };
  for (let round = 0; round <= rounds; round += 1) { // the first round warms up
    for (const [name, [ask, inputs]] of Object.entries(parts)) {
      const began = performance.now();
      for (const one of inputs) await ask(one);
      if (round) times[name].push((performance.now() - began) / inputs.length);
    }
  }
  return times;
}
