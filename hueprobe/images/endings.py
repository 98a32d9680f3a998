"""Which files are images by the ending of their name, and what to say of those that are left out."""

import importlib.util
import os
from collections import Counter
from collections.abc import Iterable
from functools import cache

# Of the formats that `hueprobe.images.decoding` reads.
IMAGE_ENDINGS = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".bmp", ".dib", ".gif", ".tif", ".tiff",
    ".webp", ".avif", ".avifs", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".ppm", ".pgm", ".pbm",
    ".pnm", ".pfm", ".tga", ".pcx", ".ico", ".sgi", ".rgb", ".rgba", ".bw", ".qoi", ".psd", ".dds",
)  # fmt: skip
HEIF_ENDINGS = (".heic", ".heif", ".heics", ".heifs", ".hif")  # read by the package pillow-heif, where it is
# What lies beside images and is none: not worth a word.
_OTHERS = frozenset(
    """
    .7z .aae .arrow .asc .bat .bib .bz2 .c .cache .cfg .ckpt .conf .cpp .crc .css .csv .dat .data
    .db .doc .docx .ds_store .feather .flac .geojson .h .htm .html .idx .index .ini .ipynb .java .js
    .json .jsonl .license .list .lnk .lock .log .lst .m .mat .md .md5 .mp3 .names .ndjson .ods .odt
    .onnx .parquet .pdf .pickle .pkl .pp3 .ppt .pptx .ps1 .pt .pth .py .pyc .r .rar .rst .rtf
    .safetensors .sh .sha1 .sha256 .sig .sqlite .srt .sum .tar .tex .tgz .thm .toml .torrent .tsv
    .txt .url .vtt .wav .xls .xlsx .xml .xmp .xz .yaml .yml .zip
    """.split()  # noqa: SIM905
)
_OTHER_ARCHIVES = (".tar.gz", ".csv.gz", ".txt.gz", ".json.gz")
_HEIF_PACKAGE = "pillow_heif"
_BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"II*\0", b"MM\0*", b"\0\0\0\x0cjP", b"BM")


def is_image(name: str) -> bool:
    """Whether a file's name ends as an image's does that can be read here."""
    ending = os.path.splitext(name)[1].lower()
    return ending in IMAGE_ENDINGS or (ending in HEIF_ENDINGS and reads_heif())


@cache
def reads_heif() -> bool:
    """Whether HEIC images can be read: the package pillow-heif is installed."""
    return importlib.util.find_spec(_HEIF_PACKAGE) is not None


def begins_as_image(file: str) -> bool:
    """Whether a file begins as one of a common image format does, whatever its name."""
    try:
        with open(file, "rb") as opened:
            head = opened.read(12)
    except OSError:
        return False
    return head.startswith(_BEGINNINGS) or head[4:8] == b"ftyp"


def known_endings() -> str:
    """Return the endings of images, for messages: `jpg jpeg ...`."""
    return " ".join(ending[1:] for ending in (*IMAGE_ENDINGS, *(HEIF_ENDINGS if reads_heif() else ())))


def left_out(names: Iterable[str]) -> str | None:
    """Return the sentence that counts files, neither images nor what is known to lie beside them, by ending.

    Parameters
    ----------
    names : iterable of str
        Of files that are no images by their ending; without an ending only those that begin as images do.

    Returns
    -------
    str or None
        None where there is nothing to say.

    Examples
    --------
    >>> left_out(["notes.txt", "a.exr", "b.EXR", "c.dng"])
    '3 files are left out, which are no images by their ending: 2 .exr, 1 .dng; convert those that are images'
    """
    counts = Counter(ending for name in names if (ending := _ending(name)) is not None)
    if not counts:
        return None
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{n} {ending or 'without an ending'}" for ending, n in ranked[:8])
    more = f" and {len(ranked) - 8} endings more" if len(ranked) > 8 else ""
    total = counts.total()
    what = "files are left out, which are no images" if total > 1 else "file is left out, which is no image"
    advice = "convert those that are images"
    if heif := [ending for ending in counts if ending in HEIF_ENDINGS]:
        others = f"; {advice}" if len(heif) < len(counts) else ""
        advice = f"for {heif[0]} pip install pillow-heif{others}"
    return f"{total} {what} by their ending: {shown}{more}; {advice}"


def _ending(name: str) -> str | None:
    """Return what a file that is no image is counted under, None where it is not to be counted."""
    name = name.lower()
    ending = os.path.splitext(name)[1]
    if ending in _OTHERS or name.endswith(_OTHER_ARCHIVES):
        return None
    inner = os.path.splitext(name.removesuffix(ending))[1]
    return inner + ending if ending == ".gz" and inner else ending
