// @vladmandic/face-api: its default detector, 68 landmarks for alignment, its age and gender net.

import { given, inside, load, serve, start, version } from './worker.mjs';

const { side, time } = given();
await start();
const faceapi = load('@vladmandic/face-api/dist/face-api.node-wasm.js');
const models = inside('@vladmandic/face-api/model');
const nets = [faceapi.nets.ageGenderNet, faceapi.nets.ssdMobilenetv1, faceapi.nets.faceLandmark68Net];
for (const net of nets) await net.loadFromDisk(models);

const detect = (picture) => faceapi.detectSingleFace(picture).withFaceLandmarks();

await serve({
  versions: { '@vladmandic/face-api': version('@vladmandic/face-api') },
  model: [`${models}/age_gender_model.bin`],
  others: [`${models}/ssd_mobilenetv1_model.bin`, `${models}/face_landmark_68_model.bin`],
  async pipeline(picture) {
    const found = await detect(picture).withAgeAndGender();
    return found ? { age: found.age, gender: found.gender } : null;
  },
  async cut(picture) {
    const found = await detect(picture);
    return found ? (await faceapi.extractFaceTensors(picture, [found.alignedRect]))[0] : null;
  },
  network: (face) => faceapi.nets.ageGenderNet.predictAgeAndGender(face),
}, side, time);
