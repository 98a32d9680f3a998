"""`hueprobe data list | show | fetch | verify | init`: data sets by their manifests."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hueprobe.cli.options import json_option, print_json, print_table, say

if TYPE_CHECKING:
    from hueprobe.datasets.manifest import Manifest
    from hueprobe.datasets.verifying import Verification

name_argument = click.argument("name")
root_option = click.option(
    "--root",
    type=click.Path(path_type=Path),
    help="Folder that contains the data set's own folder, or that folder itself, or the one with its class "
    "folders.  [default: $HUEPROBE_DATA, or the platform's folder for user data]",
)


@click.command("list")
@json_option
def list_sets(as_json: bool) -> None:
    """List the data sets that have a manifest."""
    from hueprobe.datasets import load_manifest, manifest_names

    manifests = [load_manifest(name) for name in manifest_names()]
    if as_json:
        print_json({"manifests": [_row(manifest) for manifest in manifests]})
        return
    rows = [
        [m.name, f"{m.counts.images or 0:,}" if m.counts.images else "?", _kinds(m), m.obtain.way,
         m.license.access, m.title]
        for m in manifests
    ]  # fmt: skip
    print_table("", ["name", "images", "classes or labels", "source", "access", "title"], rows)


@click.command()
@name_argument
@root_option
@json_option
def show(name: str, root: Path | None, as_json: bool) -> None:
    """Show the facts about a data set, how to get it, and whether it is on disk."""
    import msgspec

    from hueprobe.datasets import load_manifest

    manifest = load_manifest(name)
    found = _where(manifest, root)
    if as_json:
        print_json({**msgspec.to_builtins(manifest), "found_at": found})
        return
    for label, value in _facts(manifest):
        say(f"{label + ':':<12} {value}")
    say(f"{'on disk:':<12} {found or 'not found; `hueprobe data fetch ' + manifest.spec + '`'}")


@click.command()
@name_argument
@root_option
def fetch(name: str, root: Path | None) -> None:
    """Download, check and unpack a data set, or explain what to get by hand and where to put it.

    For a data set of volumes, writes their slices as images.
    """
    from hueprobe.datasets import fetch_set, load_manifest

    manifest = load_manifest(name)
    fetched = fetch_set(manifest, root=root, progress=True)
    what = "already" if fetched.was_there else "fetched"
    expected = manifest.counts.images if manifest.slices is None else None
    other = f" ({expected:,} expected)" if expected not in (None, fetched.n_images) else ""
    say(f"{manifest.name}: {what} in {fetched.root}, {fetched.n_images:,} images{other}")
    where = f" --root {root}" if root else ""
    say(f"check it with: hueprobe data verify {manifest.spec}{where}", err=True)


@click.command()
@name_argument
@root_option
@click.option("--quick", is_flag=True, help="Compare names only, without reading images.")
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    help="Number of threads that read images.  [default: one per core, at most 4]",
)
@json_option
def verify(name: str, root: Path | None, quick: bool, workers: int, as_json: bool) -> None:
    """Compare a data set on disk with its manifest; the exit code is 1 if they differ.

    Checks counts, layout and checksums, whether every image is readable, and whether an image is in two
    splits.
    """
    from hueprobe.datasets import verify_set

    found = verify_set(
        name, root=root, decode=not quick, workers=workers or min(4, os.cpu_count() or 1), progress=True
    )
    if as_json:
        print_json(found.to_json())
    else:
        _report(found)
    sys.exit(0 if found.ok else 1)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="NAME.toml to write.  [default: stdout]",
)
@click.option("--checksums", is_flag=True, help="Record the sha256 of each image.")
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
def init(folder: Path, output: Path | None, checksums: bool, overwrite: bool) -> None:
    """Draft a manifest for the images in FOLDER."""
    from hueprobe.datasets import draft_manifest
    from hueprobe.files import written_whole

    if output is not None and output.suffix != ".toml":
        raise click.UsageError(f"{output} is not a manifest's name; it must end in .toml")
    if output is not None and output.exists() and not overwrite:
        raise click.UsageError(f"{output} exists; give another name, or --overwrite")
    text = draft_manifest(folder, checksums=checksums, beside=output.parent if output else None)
    if output is None:
        click.echo(text, nl=False)  # strings in TOML are already escaped
        return
    with written_whole(output) as file:
        file.write(text.encode())
    is_above = folder.absolute().is_relative_to(output.absolute().parent)
    where = "" if is_above else f" --root {folder}"
    say(f"{output}: a draft; fill in what is in capitals, then `hueprobe data verify {output}{where}`")


def _row(manifest: "Manifest") -> dict[str, Any]:
    return {
        "name": manifest.name,
        "title": manifest.title,
        "task": manifest.task,
        "images": manifest.counts.images,
        "classes": manifest.counts.classes,
        "labels": None if manifest.masks is None else len(manifest.masks.names),
        "variants": list(manifest.variants),
        "way": manifest.obtain.way,
        "access": manifest.license.access,
    }


def _kinds(manifest: "Manifest") -> str:
    """Return the number of classes of images, or of labels of pixels."""
    if manifest.masks is not None:
        return f"{len(manifest.masks.names)} labels"
    return str(manifest.counts.classes or "?")


def _where(manifest: "Manifest", root: Path | None) -> str | None:
    """Return the folder of the set's images, None if it is not found."""
    from hueprobe.datasets.listing import list_set
    from hueprobe.datasets.resolving import torchvision_root
    from hueprobe.errors import ImageError

    try:
        if manifest.layout.kind == "torchvision":
            return str(torchvision_root(manifest, root) / manifest.layout.folder)
        return str(list_set(manifest, root).place.images)
    except ImageError:
        return None


def _facts(manifest: "Manifest") -> list[tuple[str, str]]:
    """Return the lines of `show`; unverified facts are marked."""

    def doubt(key: str) -> str:
        doubtful = any(one == key or one.startswith(f"{key}.") for one in manifest.unverified)
        return "  (unverified)" if doubtful else ""

    counts = manifest.counts
    license = manifest.license
    facts = [
        ("name", manifest.name + (f"  (also {', '.join(manifest.variants)})" if manifest.variants else "")),
        ("title", manifest.title + (f", {manifest.year}" if manifest.year else "")),
        ("authors", ", ".join(manifest.authors)),
        ("citation", manifest.citation + doubt("citation")),
        ("homepage", manifest.homepage),
        ("task", manifest.task),
        ("license", f"{license.name}; {license.access}{doubt('licence')}"),
        ("conditions", license.conditions),
        ("source", manifest.obtain.way),
        *(("step", f"{i}. {step}") for i, step in enumerate(manifest.obtain.steps, start=1)),
        *(("file", f"{file.url}{_size(file.bytes)}") for file in manifest.obtain.files),
        ("images", f"{counts.images:,}{doubt('counts.images')}" if counts.images else "not known"),
        ("classes", f"{counts.classes:,}" if counts.classes else "" if manifest.masks else "not known"),
        *(("masks", text + doubt("masks")) for text in _masks(manifest)),
        ("splits", ", ".join(f"{k} {n:,}" for k, n in counts.splits.items()) + doubt("counts.splits")),
        *(("correction", text + doubt("corrections")) for text in manifest.corrections),
        *(("checked", text) for text in manifest.checked_against),
        ("unverified", ", ".join(manifest.unverified)),
    ]
    return [(label, value) for label, value in facts if value.strip()]


def _masks(manifest: "Manifest") -> list[str]:
    """Return where the masks are, and their labels."""
    masks = manifest.masks
    if masks is None:
        return []
    labels = masks.labels()
    return [f"{masks.folder}/**{masks.ending}; {labels.in_words}: {', '.join(labels.names)}"]


def _size(n_bytes: int | None) -> str:
    return f" ({n_bytes / 1e6:,.1f} MB)" if n_bytes else ""


def _report(found: "Verification") -> None:
    splits = ", ".join(f"{name} {n:,}" for name, n in found.splits.items())
    say(
        f"{found.name}: {found.images:,} images in {found.classes:,} classes"
        + (f" ({splits})" if splits else "")
        + (f" at {found.root}" if found.root else "")
    )
    for note in found.notes:
        say(f"note: {note}")
    for problem in found.problems:
        say(f"{problem.kind}: {problem.text}", err=True)
    if found.ok:
        say("matches the manifest" if found.decoded else "names match the manifest; no image was read")
    else:
        say(f"{len(found.problems)} problems", err=True)
