"""The packed training sets as class folders with a table of their parts, for `hueprobe train` and `compare`.

    python -m benchmarks.packs cifar10 -o out/packs
    hueprobe train out/packs/cifar10.csv --backbone resnet18 --crop 32 --side 36 -o out/cifar10

Reads $HUEPROBE_SHARED/data/train (default ../shared). CIFAR-10 keeps its official parts (its images have
been through JPEG, so torchvision's checksums would refuse them); of the other sets half of each class is to
train.
"""

import argparse
import os
import tarfile
from pathlib import Path

import numpy as np

from hueprobe import images

SHARED = Path(os.environ.get("HUEPROBE_SHARED", "../shared")) / "data" / "train"
TARS = {"flowers17": "flowers17_160.tar", "dtd10": "dtd10_160.tar", "caltech101": "caltech101_112.tar"}
CIFAR10 = "cifar10_jpeg/cifar10_jpeg.npz"
NAMES = (*TARS, "cifar10")


def images_of(name: str, folder: Path) -> images.ImageTable:
    """Unpack a set below a folder, once, and return its images with their parts "train" and "test"."""
    unpacked = folder / f"{name}-images"
    if not unpacked.is_dir():
        partial = unpacked.with_name(f"{unpacked.name}.{os.getpid()}")
        if name in TARS:
            with tarfile.open(SHARED / TARS[name]) as pack:
                pack.extraction_filter = getattr(tarfile, "data_filter", None)  # not in every 3.11
                pack.extractall(partial)
        else:
            write_jpegs(SHARED / CIFAR10, partial)
        try:
            partial.rename(unpacked)
        except OSError:  # another process was first; both unpacked the same
            if not unpacked.is_dir():
                raise
    if name in TARS:
        return images.split_table(images.from_folder(unpacked), train=0.5, seed=0)
    return images.from_table(unpacked / "parts.csv")


def write_jpegs(pack: Path, folder: Path) -> None:
    """Write the images of an .npz of JPEG files into PART/CLASS/NUMBER.jpg, and `parts.csv` beside them."""
    lines = ["path,class,split"]
    with np.load(pack, allow_pickle=False) as held:
        classes = [str(name) for name in held["classes"]]
        for part in ("train", "test"):
            content, offsets, labels = (held[f"{part}_{what}"] for what in ("jpeg", "offset", "label"))
            for name in classes:
                (folder / part / name).mkdir(parents=True)
            for number, label in enumerate(labels.tolist()):
                path = f"{part}/{classes[label]}/{number:05}.jpg"
                (folder / path).write_bytes(content[offsets[number] : offsets[number + 1]].tobytes())
                lines.append(f"{path},{classes[label]},{part}")
    (folder / "parts.csv").write_text("\n".join(lines) + "\n")


def main() -> None:
    """Unpack what the arguments ask for and write its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    table = images_of(arguments.name, arguments.output)
    images.save_table(table, arguments.output / f"{arguments.name}.csv")
    print(f"{arguments.output / arguments.name}.csv: {len(table)} images")


if __name__ == "__main__":
    main()
