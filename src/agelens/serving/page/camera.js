// Pictures from the camera, with a plain word where it is refused.

const $ = (id) => document.getElementById(id);
let stream = null;

const WHY = {
  NotAllowedError: "The camera was not allowed. Allow it in the browser's settings for this site, or choose a picture.",
  NotFoundError: "No camera was found. Choose a picture instead.",
  NotReadableError: "Another program is using the camera. Close it and try again.",
};

function fail(message) {
  $("camera-bad").textContent = message;
  $("camera-bad").hidden = false;
  $("video").hidden = true;
  $("shoot").hidden = true;
}

export async function open() {
  $("camera-bad").hidden = true;
  $("video").hidden = false;
  $("shoot").hidden = false;
  $("shoot").disabled = true;
  $("camera-box").showModal();
  if (!navigator.mediaDevices?.getUserMedia) {
    fail("Browsers give the camera to https pages and to this computer's own (localhost) only.");
    return;
  }
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 }, facingMode: "user" } });
  } catch (error) {
    fail(WHY[error.name] ?? `The camera cannot be used (${error.name}).`);
    return;
  }
  if (!$("camera-box").open) { stop(); return; }
  $("video").srcObject = stream;
  await $("video").play().catch(() => {});
  $("shoot").disabled = false;
}

function stop() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  $("video").srcObject = null;
}

export function wire(take) {
  let number = 0;
  $("camera").addEventListener("click", open);
  $("camera-close").addEventListener("click", () => $("camera-box").close());
  $("camera-box").addEventListener("close", stop);
  $("shoot").addEventListener("click", () => {
    const canvas = document.createElement("canvas");
    canvas.width = $("video").videoWidth;
    canvas.height = $("video").videoHeight;
    canvas.getContext("2d").drawImage($("video"), 0, 0);
    canvas.toBlob((blob) => {
      number += 1;
      take([{ file: blob, name: `camera-${number}.jpg` }]);
      $("camera-box").close();
    }, "image/jpeg", 0.92);
  });
}
