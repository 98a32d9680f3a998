"""What the gallery draws from: a memory of the demo's images with its matches, and one of whole images."""

import contextlib
from pathlib import Path

import hueprobe as hp


def make(folder: Path) -> None:
    """Make the gallery's data in a folder; what is there already is kept.

    Parameters
    ----------
    folder : Path
        Gets `demo.memory`, `matches.parquet`, `people.memory`, `portrait.png`, `coins` and `coins.memory`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.chdir(folder):
        images = hp.images.demo("images")
        memory = hp.build_memory("demo.memory", images, backbone="efficientnet_lite0")
        if not Path("matches.parquet").is_file():
            result = hp.KernelDensityClassifier(memory, k=10).leave_one_out()
            result.matches.save("matches.parquet")
        people(Path())
        coins(Path("coins"))


def people(folder: Path) -> None:
    """Make a memory of eight whole images, one a class, and a portrait that is in none of them."""
    import matplotlib.cbook
    import skimage
    from PIL import Image

    shipped = Path(skimage.__file__).parent / "data"
    for name, file in WHOLE.items():
        target = folder / "whole" / name / f"{Path(file).stem}.png"
        if not target.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.open(shipped / file).convert("RGB").save(target)
    portrait = folder / "portrait.png"
    if not portrait.is_file():
        Image.open(matplotlib.cbook.get_sample_data("grace_hopper.jpg")).convert("RGB").save(portrait)
    finer = hp.images.Transform(resize=320, crop=320)  # a grid of 10 x 10 cells instead of 7 x 7
    hp.build_memory(
        folder / "people.memory", folder / "whole", backbone="efficientnet_lite0", transform=finer
    )


def coins(folder: Path) -> None:
    """Make a memory of nine tiles of an image with masks, and three tiles that are not in it."""
    import numpy as np
    import skimage
    from PIL import Image
    from skimage.filters import threshold_otsu

    pixels = np.asarray(Image.open(Path(skimage.__file__).parent / "data" / "coins.png").convert("L"))
    coin = pixels > threshold_otsu(pixels)
    for part in ("train", "test", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for i in range(12):
        y, x = 100 * (i // 4), 96 * (i % 4)
        tile = slice(y, y + 100), slice(x, x + 96)
        Image.fromarray(pixels[tile]).save(folder / ("train" if i < 9 else "test") / f"tile{i}.png")
        Image.fromarray(coin[tile].astype(np.uint8)).save(folder / "masks" / f"tile{i}.png")
    masks = hp.images.pair_masks(folder / "train", folder / "masks", names=["background", "coin"])
    finer = hp.images.Transform(resize=None, crop=(320, 320), fit="squash")
    hp.build_memory(
        "coins.memory", folder / "train", backbone="efficientnet_lite0", transform=finer, masks=masks
    )
    hp.build_memories(
        "coins.layers.memory", folder / "train", backbone="efficientnet_lite0", layers=["blocks.2", "blocks.4"],
        transform=finer, masks=masks,
    )  # fmt: skip


WHOLE = {
    "person": "astronaut.png",
    "cat": "chelsea.png",
    "cup": "coffee.png",
    "coins": "coins.png",
    "rocket": "rocket.jpg",
    "clock": "clock_motion.png",
    "galaxies": "hubble_deep_field.jpg",
    "retina": "retina.jpg",
}
