"""Images, masks and a network for memories that are built in parts, and the comparison of their bytes."""

import numpy as np
import torch
from PIL import Image
from torch import nn

from hueprobe.images import Transform
from hueprobe.scale import Part, build_part

N_IMAGES = 22
TRANSFORM = Transform(resize=32, crop=32)
SMALL = {"transform": TRANSFORM, "batch_size": 2, "shard_images": 4}  # 22 images: six shards, the last of 2


def network():
    """8 x 8 cells of 6 channels at '1', 4 x 4 of 5 at '3'."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 6, 4, stride=4), nn.ReLU(), nn.Conv2d(6, 5, 2, stride=2), nn.ReLU()
        ).eval()


def draw(folder, n=N_IMAGES, seed=0):
    """Draw `images/` of two classes, of which 4 and all of the fourth shard are torn, and their `masks/`."""
    rng = np.random.default_rng(seed)
    for i in range(n):
        name = f"{'ab'[i >= n // 2]}/{i:02d}.png"
        for kind in ("images", "masks"):
            (folder / kind / name).parent.mkdir(parents=True, exist_ok=True)
        if i == 4 or 12 <= i < 16:
            (folder / "images" / name).write_bytes(b"torn")
        else:
            Image.fromarray(rng.integers(0, 256, (36, 40, 3), np.uint8)).save(folder / "images" / name)
        mask = rng.choice([0, 1, 2, 255], (36, 40)).astype(np.uint8)
        Image.fromarray(mask).save(folder / "masks" / name)
    return folder / "images"


def contents(folder):
    """Return {name: bytes} of all files below a folder."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def build_all(path, images, n, **options):
    """Build all parts, in an order that is not theirs."""
    order = np.random.default_rng(n).permutation(n) + 1
    return [build_part(path, images, Part(int(number), n), **options) for number in order]


class Killed(BaseException):
    """Not an Exception, as Ctrl-C is not."""


def killed(*_, **__):
    raise Killed
