"""Drawn images with planted duplicates and flipped labels, for tests of the audit."""

import shutil

import numpy as np
from PIL import Image, ImageOps

CLASSES = ("blue", "green", "red")
KINDS = ("exact", "jpeg", "cropped", "flipped")
N_EACH, N_COPIES, N_FLIPPED = 10, 3, 3
CELL = 12  # pixels of an image of 72 x 72 in a cell of the tiny network, which has 6 x 6
PATCH = 5  # rows and columns of cells of a pasted patch


def textured(rng, c):
    """Return a smooth random image of 72 x 72 pixels, in which one channel is a little brighter."""
    coarse = rng.integers(0, 200, (6, 6, 3))
    coarse[..., 2 - c] += 55
    return Image.fromarray(coarse.astype(np.uint8)).resize((72, 72), Image.Resampling.BICUBIC)


def plant(folder):
    """Draw images, copy some in each way and give some a wrong class; return what was planted.

    Returns
    -------
    copies : dict of str to list of (str, str)
        By kind, the paths of the original and of the copy.
    flipped : dict of str to str
        True class by the path of an image with a wrong one.
    """
    rng = np.random.default_rng(0)
    copies, flipped = {kind: [] for kind in KINDS}, {}
    for c, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for i in range(N_EACH):
            textured(rng, c).save(folder / name / f"{i}.png")
    for k, kind in enumerate(KINDS):
        for c in range(N_COPIES):
            original = folder / CLASSES[c] / f"{k}.png"
            with Image.open(original) as opened:
                image = opened.convert("RGB")
            copy = original.with_name(f"{kind}.jpg" if kind == "jpeg" else f"{kind}.png")
            if kind == "exact":
                shutil.copy(original, copy)
            elif kind == "jpeg":
                image.save(copy, quality=70)
            elif kind == "cropped":
                image.crop((3, 3, 69, 69)).save(copy)
            else:
                ImageOps.mirror(image).save(copy)
            copies[kind].append(tuple(path.relative_to(folder).as_posix() for path in (original, copy)))
    for c, name in enumerate(CLASSES):
        wrong = CLASSES[(c + 1) % len(CLASSES)]
        (folder / name / f"{N_EACH - 1}.png").rename(folder / wrong / f"was_{name}.png")
        flipped[f"{wrong}/was_{name}.png"] = name
    return copies, flipped


def paste(folder):
    """Draw images, and paste a part of an image into one of another class, for two pairs of images.

    Returns
    -------
    dict of (str, str) to ((int, int), (int, int))
        Row and column of the first cell of a patch, in the image it was taken from and in the one it was
        pasted into, by the paths of both.
    """
    rng = np.random.default_rng(1)
    for c, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for i in range(2 * N_EACH):
            textured(rng, c).save(folder / name / f"{i:02}.png")
    pasted = {
        ("blue/04.png", "green/05.png"): ((0, 0), (1, 1)),
        ("green/07.png", "red/08.png"): ((1, 0), (0, 1)),
    }
    for (source, target), ((y, x), (down, right)) in pasted.items():
        with Image.open(folder / source) as one, Image.open(folder / target) as two:
            into = two.convert("RGB")
            patch = one.crop((CELL * x, CELL * y, CELL * (x + PATCH), CELL * (y + PATCH)))
        into.paste(patch, (CELL * right, CELL * down))
        into.save(folder / target)
    return pasted
