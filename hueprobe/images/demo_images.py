"""The demo's images: gray patches of what scikit-image ships, and "which image is this from" as class."""

import importlib.util
import os
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from hueprobe.errors import HueprobeError, ImageError, MissingDependencyError
from hueprobe.files import sha256_of
from hueprobe.images.splits import TRAIN, split_table
from hueprobe.images.table import ImageTable
from hueprobe.images.table_files import read_table, save_table

MEMORY, QUERY = "memory", "query"
TABLE_FILE = "images.csv"
SUMS_FILE = "SHA256SUMS"
_LONG, _SHORT = 6, 4  # patches along the long and the short side of an image


@dataclass(frozen=True)
class DemoImage:
    """An image of the demo: its class, its file in scikit-image, what it shows, whose it is."""

    name: str
    file: str
    title: str
    source: str
    licence: str


# Sources and licences as scikit-image states them in the docstrings of `skimage.data`.
DEMO_IMAGES = (
    DemoImage("brick", "brick.png", "Brick wall", "CC0Textures, Bricks25", "CC0"),
    DemoImage("camera", "camera.png", "Photographer with a camera", "Lav Varshney", "CC0"),
    DemoImage("cell", "cell.png", "Cell floating in saline, phase image", "Paul Müller et al.", "CC0"),
    DemoImage("chelsea", "chelsea.png", "Chelsea the cat", "Stefan van der Walt", "CC0"),
    DemoImage("clock", "clock_motion.png", "Motion-blurred clock", "Stefan van der Walt", "public domain"),
    DemoImage("coffee", "coffee.png", "Coffee cup", "Rachel Michetti, Pikolo Espresso Bar", "CC0"),
    DemoImage(
        "coins", "coins.png", "Greek coins from Pompeii", "Brooklyn Museum", "no known copyright restrictions"
    ),
    DemoImage("grass", "grass.png", "Grass", "linolafett, DeviantArt", "CC0"),
    DemoImage("gravel", "gravel.png", "Gravel", "CC0Textures, Gravel04", "CC0"),
    DemoImage("hubble", "hubble_deep_field.jpg", "Hubble eXtreme Deep Field", "NASA", "public domain"),
    DemoImage(
        "immunohistochemistry",
        "ihc.png",
        "Colonic glands, FHL2 stained",
        "Center for Microscopy And Molecular Imaging (CMMI)",
        "no known copyright restrictions",
    ),
    DemoImage("retina", "retina.jpg", "Human retina", "Mikael Häggström", "CC0"),
    DemoImage("rocket", "rocket.jpg", "Launch of Falcon 9 with DSCOVR", "SpaceX", "public domain"),
)


def demo(folder: str | Path | None = None) -> ImageTable:
    """Return the demo's images: 24 gray patches of each of `DEMO_IMAGES`, half of them in memory.

    They are cut once from the images in the installed scikit-image, which is not imported, and kept
    as PNG files `<class>/<class>_<nn>.png` with a table `images.csv` (split `memory` or `query`)
    and checksums. Patches do not overlap; they are gray so that color does not give the answer.

    Parameters
    ----------
    folder : path, optional
        Where they are, or are to be; by default hueprobe's part of the user's cache folder.

    Raises
    ------
    MissingDependencyError
        scikit-image is not installed, or lacks an image.
    ImageError
        `folder` holds something else, or cannot be written.
    """
    folder = Path(os.path.realpath(folder if folder is not None else _cache_folder() / "demo-images"))
    try:
        if not _is_complete(folder):
            _require_ours(folder)
            _build(folder)
    except OSError as error:
        if isinstance(error, HueprobeError):
            raise
        reason = error.strerror or error
        raise ImageError(
            f"cannot write the demo's images to {str(folder)!r}: {reason}; give another folder"
        ) from None
    return read_table(folder / TABLE_FILE, fenced=True)


def _cache_folder() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("hueprobe", appauthor=False, opinion=False)


def _expected(folder: Path) -> ImageTable:
    """Return the table that a complete folder holds, sizes apart; no image is needed to know it."""
    names = [image.name for image in DEMO_IMAGES for _ in range(_LONG * _SHORT)]
    paths = tuple(f"{name}/{name}_{i % (_LONG * _SHORT):02d}.png" for i, name in enumerate(names))
    n = len(names)
    none = (None,) * n
    table = ImageTable(paths, (str(folder),) * n, tuple(names), none, none, (-1,) * n)
    halves = split_table(table, train=0.5, seed=0)
    return replace(halves, splits=tuple(MEMORY if split == TRAIN else QUERY for split in halves.splits))


def _is_complete(folder: Path) -> bool:
    """Whether every file is there and as it was written."""
    try:
        lines = (folder / SUMS_FILE).read_text().splitlines()
        sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
        expected = _expected(folder)
        return (
            set(sums) == {*expected.paths, TABLE_FILE}
            and all(sha256_of(folder / name) == digest for name, digest in sums.items())
            and replace(read_table(folder / TABLE_FILE, fenced=True), sizes=expected.sizes) == expected
        )
    except (OSError, ValueError):
        return False


def _require_ours(folder: Path) -> None:
    """Refuse to replace a folder that holds anything but a damaged demo."""
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise ImageError(f"{str(folder)!r} is not a folder; name another for the demo's images")
    ours = {*_expected(folder).paths, TABLE_FILE, SUMS_FILE}
    for file in folder.rglob("*"):
        if not file.is_dir() and file.relative_to(folder).as_posix() not in ours:
            raise ImageError(
                f"folder {str(folder)!r} holds {file.name!r}, which is not of the demo; name another folder"
            )


def _build(folder: Path) -> None:
    """Write everything into a folder beside, then put that in place."""
    source = _scikit_image_data()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as beside:
        new = Path(beside) / folder.name
        new.mkdir()
        for image in DEMO_IMAGES:
            _write_patches(source / image.file, new / image.name)
        save_table(_expected(new), new / TABLE_FILE)
        files = sorted(path.relative_to(new).as_posix() for path in new.rglob("*") if path.is_file())
        (new / SUMS_FILE).write_text("".join(f"{sha256_of(new / name)}  {name}\n" for name in files))
        if _is_complete(folder):
            return  # another process was quicker
        if folder.exists():
            shutil.rmtree(folder)
        new.rename(folder)


def _scikit_image_data() -> Path:
    spec = importlib.util.find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError(
            "the demo's images come with scikit-image, which is not installed; pip install 'hueprobe[demo]'"
        )
    data = Path(next(iter(spec.submodule_search_locations))) / "data"
    for image in DEMO_IMAGES:
        if not (data / image.file).is_file():
            raise MissingDependencyError(
                f"the installed scikit-image has no image {image.file!r} in {str(data)!r}; "
                "pip install --upgrade 'hueprobe[demo]'"
            )
    return data


def _write_patches(file: Path, folder: Path) -> None:
    """Cut an image into 24 gray patches, named in reading order; a remainder at right and bottom is lost."""
    folder.mkdir()
    with Image.open(file, formats=("JPEG", "PNG", "GIF", "TIFF")) as image:
        gray = image.convert("L")
    rows, columns = (_SHORT, _LONG) if gray.width >= gray.height else (_LONG, _SHORT)
    height, width = gray.height // rows, gray.width // columns
    for i in range(rows * columns):
        top, left = i // columns * height, i % columns * width
        patch = gray.crop((left, top, left + width, top + height))
        patch.save(folder / f"{folder.name}_{i:02d}.png")
