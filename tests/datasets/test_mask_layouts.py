"""Each shipped manifest with masks finds images and labels in a tiny tree of mmsegmentation's layout."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import hueprobe as hp
from hueprobe.cli import main
from hueprobe.datasets import from_manifest, load_manifest, manifest_names, verify_set
from hueprobe.errors import ImageError, InputError, ManifestError, ShapeError
from hueprobe.images import from_paths, pair_masks, resolve_images, save_table
from tests.tiny_sets import manifest_of, write_image

SIZE = (5, 6)  # height, width of the images of write_image


def write_mask(path, *values):
    """Write a mask of stripes of some values, as wide as the images."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = np.resize(np.array(values, np.uint8), SIZE[1])
    Image.fromarray(np.tile(columns, (SIZE[0], 1))).save(path)


def lines(path, *texts):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{text}\n" for text in texts))


def voc(root):
    base = root / "VOCdevkit" / "VOC2012"
    for name in ("2007_000032", "2007_000033", "2008_000001"):
        write_image(base / "JPEGImages" / f"{name}.jpg")
    write_mask(base / "SegmentationClass" / "2007_000032.png", 0, 255, 1)
    write_mask(base / "SegmentationClass" / "2007_000033.png", 20, 0)
    lines(base / "ImageSets" / "Segmentation" / "train.txt", "2007_000032")
    lines(base / "ImageSets" / "Segmentation" / "val.txt", "2007_000033")


def ade(root):
    base = root / "ade" / "ADEChallengeData2016"
    for part, name in (("training", "ADE_train_00000001"), ("validation", "ADE_val_00000001")):
        write_image(base / "images" / part / f"{name}.jpg")
        write_mask(base / "annotations" / part / f"{name}.png", 0, 1, 150)
    lines(base / "sceneCategories.txt", "ADE_train_00000001 airport_terminal")


def cityscapes(root):
    base = root / "cityscapes"
    for part, city in (("train", "aachen"), ("val", "lindau"), ("test", "berlin")):
        name = f"{part}/{city}/{city}_000000_000019"
        write_image(base / "leftImg8bit" / f"{name}_leftImg8bit.png")
        write_mask(base / "gtFine" / f"{name}_gtFine_labelTrainIds.png", 0, 18, 255)
        write_mask(base / "gtFine" / f"{name}_gtFine_labelIds.png", 7, 33, 3)
        write_mask(base / "gtFine" / f"{name}_gtFine_instanceIds.png", 7, 33, 3)


def stuff164k(root):
    base = root / "coco_stuff164k"
    for part, number in (("train", 9), ("val", 139)):
        name = f"{part}2017/{number:012d}"
        write_image(base / "images" / f"{name}.jpg")
        write_mask(base / "annotations" / f"{name}.png", 0, 181, 255)
        write_mask(base / "annotations" / f"{name}_labelTrainIds.png", 0, 170, 255)


def stuff10k(root):
    base = root / "coco_stuff10k"
    for part, number in (("train", 77), ("test", 81)):
        name = f"COCO_train2014_{number:012d}"
        write_image(base / "images" / f"{name}.jpg")  # the converter copies them into the parts
        write_image(base / "images" / f"{part}2014" / f"{name}.jpg")
        write_mask(base / "annotations" / f"{part}2014" / f"{name}_labelTrainIds.png", 0, 1, 171)
    lines(base / "imagesLists" / "train.txt", "COCO_train2014_000000000077")


# Manifest: tree, image and mask of each split, labels of the mask's stripes.
LAYOUTS = {
    "voc2012_seg": (
        voc,
        {
            "train": (
                "2007_000032.jpg", "SegmentationClass/2007_000032.png", ["background", None, "aeroplane"],
            ),
            "val": ("2007_000033.jpg", "SegmentationClass/2007_000033.png", ["tvmonitor", "background"]),
        },
    ),
    "ade20k": (
        ade,
        {
            "train": (
                "training/ADE_train_00000001.jpg",
                "annotations/training/ADE_train_00000001.png",
                [None, "wall", "flag"],
            ),
            "val": (
                "validation/ADE_val_00000001.jpg",
                "annotations/validation/ADE_val_00000001.png",
                [None, "wall", "flag"],
            ),
        },
    ),
    "cityscapes": (
        cityscapes,
        {
            "train": (
                "train/aachen/aachen_000000_000019_leftImg8bit.png",
                "gtFine/train/aachen/aachen_000000_000019_gtFine_labelTrainIds.png",
                ["road", "bicycle", None],
            ),
            "val": (
                "val/lindau/lindau_000000_000019_leftImg8bit.png",
                "gtFine/val/lindau/lindau_000000_000019_gtFine_labelTrainIds.png",
                ["road", "bicycle", None],
            ),
        },
    ),
    "coco_stuff164k": (
        stuff164k,
        {
            "train": (
                "train2017/000000000009.jpg",
                "annotations/train2017/000000000009_labelTrainIds.png",
                ["person", "wood", None],
            ),
            "val": (
                "val2017/000000000139.jpg",
                "annotations/val2017/000000000139_labelTrainIds.png",
                ["person", "wood", None],
            ),
        },
    ),
    "coco_stuff10k": (
        stuff10k,
        {
            "train": (
                "train2014/COCO_train2014_000000000077.jpg",
                "annotations/train2014/COCO_train2014_000000000077_labelTrainIds.png",
                [None, "person", "wood"],
            ),
            "test": (
                "test2014/COCO_train2014_000000000081.jpg",
                "annotations/test2014/COCO_train2014_000000000081_labelTrainIds.png",
                [None, "person", "wood"],
            ),
        },
    ),
}  # fmt: skip


def test_every_manifest_with_masks_is_here_and_says_that_it_was_not_checked():
    with_masks = [name for name in manifest_names() if load_manifest(name).masks]
    assert with_masks == sorted(LAYOUTS)
    for name in with_masks:
        assert {"masks", "layout", "counts.images"} < set(load_manifest(name).unverified)
    assert {name: len(load_manifest(name).masks.labels()) for name in with_masks} == {
        "voc2012_seg": 21, "ade20k": 150, "cityscapes": 19, "coco_stuff164k": 171, "coco_stuff10k": 171,
    }  # fmt: skip


@pytest.fixture(params=LAYOUTS)
def tree(request, tmp_path, monkeypatch):
    """A set in its layout below the folder of all data sets; its name, folder, and what is in it."""
    draw, wanted = LAYOUTS[request.param]
    draw(tmp_path)
    monkeypatch.setenv("HUEPROBE_DATA", str(tmp_path))
    return request.param, tmp_path / load_manifest(request.param).layout.folder, wanted


def test_images_masks_and_labels_are_found(tree):
    name, folder, wanted = tree
    table = from_manifest(name)
    assert dict(zip(table.splits, table.paths, strict=True)) == {
        split: image for split, (image, _, _) in wanted.items()
    }
    assert set(table.classes) == {None} and set(table.groups) == {None}
    masks = pair_masks(table, name)
    for row, split in enumerate(table.splits):
        _, file, labels = wanted[split]
        assert masks.files[row] == str(folder / file)
        shown = [None if label < 0 else masks.labels.names[label] for label in masks.read(row)[0]]
        assert shown == list(np.resize(np.array(labels, object), SIZE[1]))


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


def test_the_set_is_indexed_and_segmented_by_its_name(tree, tmp_path):
    name, _, wanted = tree
    held_out = next(split for split in wanted if split != "train")
    tiny = ["--backbone", "tests.tiny_network:tiny", "--layer", "3"]
    run("index", name, "--split", "train", "--masks", name, "-o", tmp_path / "m", *tiny)
    memory = hp.open_memory(tmp_path / "m")
    described = load_manifest(name).masks.labels()
    assert memory.label_set == described and memory.n_images == 1
    present = {described.names[i] for i in np.flatnonzero(memory.label_counts().sum(axis=(0, 1, 2)))}
    assert present == set(wanted["train"][2]) - {None}
    shown = run(
        "segment", tmp_path / "m", name, "--split", held_out, "--masks", name, "-o", tmp_path / "out",
        "--json",
    )  # fmt: skip
    scores = json.loads(shown.stdout)["scores"]
    assert scores["images"] == 1 and 0 < scores["pixels"] <= SIZE[0] * SIZE[1]
    assert list(scores["per_label"]) == sorted(described.names)


def test_verify_checks_masks(tree):
    name, folder, wanted = tree
    manifest = load_manifest(name)
    counts = [f"counts.{key}" for key in ("images", *(f"splits.{split}" for split in wanted))]
    found = verify_set(name)  # of a tiny set, only the counts differ
    assert [problem.text.split(":")[0] for problem in found.problems] == counts
    image, mask, _ = wanted["train"]
    write_mask(folder / mask, 200)
    (problem,) = [one for one in verify_set(name).problems if one.kind == "mask"]
    assert problem.paths == (image,) and "has the value 200, but the" in problem.text
    assert [one.kind for one in verify_set(name, decode=False).problems] == ["count"] * 3
    Image.new("L", (9, 9)).save(folder / mask)
    (problem,) = [one for one in verify_set(name).problems if one.kind == "mask"]
    assert "has 9 x 9 pixels, its image 6 x 5" in problem.text
    (folder / mask).unlink()
    for decode in (True, False):
        (problem,) = [one for one in verify_set(name, decode=decode).problems if one.kind == "mask"]
        assert problem.text == f"1 images have no mask: {image!r}" and problem.paths == (image,)
    with pytest.raises(
        ImageError, match=rf"no mask .* for image {image!r}: there is no such file; `hueprobe data"
    ):
        pair_masks(name, name)
    assert manifest.spec == name


def test_cities_may_be_groups(tmp_path):
    cityscapes(tmp_path)
    assert from_manifest("cityscapes:city", root=tmp_path).groups == ("aachen", "lindau")


@pytest.fixture
def street(tmp_path, monkeypatch):
    cityscapes(tmp_path)
    monkeypatch.setenv("HUEPROBE_DATA", str(tmp_path))
    return tmp_path / "cityscapes"


def test_any_table_of_the_sets_images_has_its_masks(street, tmp_path):
    """A saved split that names the manifest, one in the images' folder, and single files."""
    mask = str(street / "gtFine/val/lindau/lindau_000000_000019_gtFine_labelTrainIds.png")
    save_table(from_manifest("cityscapes").where_split("val"), tmp_path / "val.csv", manifest="cityscapes")
    image = "val/lindau/lindau_000000_000019_leftImg8bit.png"
    (street / "leftImg8bit" / "own.csv").write_text(f"path,class\n{image},\n")
    for images in (
        tmp_path / "val.csv",
        street / "leftImg8bit" / "own.csv",
        [street / "leftImg8bit" / image],
    ):
        masks = pair_masks(images, "cityscapes")
        assert masks.files == (mask,) and masks.labels.names[0] == "road"
    assert pair_masks(tmp_path / "val.csv", "manifest:cityscapes").files == (mask,)
    # The labels of a memory take the place of the manifest's.
    labels = hp.images.LabelSet(("bicycle", "road"), (18, 0))
    assert pair_masks(tmp_path / "val.csv", "cityscapes", labels=labels).labels is labels


def test_the_folder_may_be_anywhere(street, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    moved = street.rename(tmp_path / "elsewhere" / "streets")
    table = from_manifest("cityscapes", root=moved)
    assert pair_masks(table, "cityscapes").files[0].startswith(str(moved / "gtFine"))


def test_what_has_no_masks_is_told_in_one_sentence(street, tmp_path):
    with pytest.raises(ManifestError, match="'dtd' describes no masks; give a folder or a table of masks"):
        pair_masks("cityscapes", "dtd")
    other = write_image(tmp_path / "other" / "1.png")
    with pytest.raises(ImageError, match=r"in no folder 'leftImg8bit', so it is not one of 'cityscapes'"):
        pair_masks(from_paths([other]), "cityscapes")
    strange = write_image(street / "leftImg8bit" / "val" / "1.png")
    with pytest.raises(ImageError, match=r"does not end in '_leftImg8bit.png' like those of 'cityscapes'"):
        pair_masks(from_paths([strange]), "cityscapes")
    for told in ({"names": ["road"]}, {"ignore": ()}, {"zero_is_ignore": True}):
        with pytest.raises(InputError, match=r"of 'cityscapes' are told by its manifest; leave out names"):
            pair_masks("cityscapes", "cityscapes", **told)
    with pytest.raises(ImageError, match=r"no masks at 'cityscape'; give a folder, .* or the name of a data"):
        pair_masks("cityscapes", "cityscape")
    write_mask(street / "gtFine/val/lindau/lindau_000000_000019_gtFine_labelTrainIds.png", 19)
    with pytest.raises(InputError, match="has the value 19, but the 19 labels are the values 0 to 18"):
        pair_masks("cityscapes", "cityscapes")


def test_a_link_out_of_the_set_is_not_followed(street, tmp_path):
    mask = street / "gtFine/val/lindau/lindau_000000_000019_gtFine_labelTrainIds.png"
    mask.rename(tmp_path / "outside.png")
    mask.symlink_to(tmp_path / "outside.png")
    with pytest.raises(ImageError, match="a link leads out of the set's folder"):
        pair_masks("cityscapes", "cityscapes")
    assert any(one.kind == "mask" for one in verify_set("cityscapes", decode=False).problems)
    mask.unlink()
    (mask.parent / "inside.png").write_bytes((tmp_path / "outside.png").read_bytes())
    mask.symlink_to("inside.png")
    assert len(pair_masks("cityscapes", "cityscapes")) == 2


def test_a_path_takes_precedence_over_a_manifest(street, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = resolve_images("manifest:cityscapes").where_split("val")
    write_mask(Path("cityscapes") / "own" / "val/lindau/lindau_000000_000019_leftImg8bit.png", 0, 1)
    # The set's own folder has the manifest's name here: masks are looked for by path in it.
    with pytest.raises(ImageError, match="could belong to image"):
        pair_masks(table, "cityscapes")
    assert pair_masks(table, "manifest:cityscapes").labels.names[0] == "road"


@pytest.mark.parametrize(
    ("masks", "said"),
    [
        ({"names": ["a"]}, "masks.folder: is missing"),
        ({"folder": "m"}, "masks.names: is missing"),
        (
            {"folder": "../m", "names": ["a"]},
            r"masks.folder: the path '../m' is not allowed, it has a part '..'",
        ),
        ({"folder": "m", "names": ["a", "a"]}, "masks.names: the label name 'a' occurs twice"),
        ({"folder": "m", "names": []}, "masks.names: there are no label names"),
        ({"folder": "m", "names": {"x": "a"}}, "masks.names: 'x' is no value of a mask's pixel"),
        (
            {"folder": "m", "names": {"255": "a"}},
            "masks.names: the value 255 is the label 'a' and is ignored",
        ),
        ({"folder": "m", "names": ["a"], "ending": "/x.png"}, "masks.ending: '/x.png' is not the end of a"),
        ({"folder": "m", "names": ["a"], "ignore": [70000]}, "masks.ignore.0: is 70000; give a whole number"),
        ({"folder": "m", "names": ["a"], "colour": 1}, "masks.colour: unknown key"),
    ],
)
def test_wrong_keys_are_told(masks, said):
    with pytest.raises(ManifestError, match=said):
        manifest_of(masks=masks)


def test_masks_need_files():
    with pytest.raises(
        ManifestError, match=r"masks: does not go with layout.kind 'torchvision'; leave it out"
    ):
        manifest_of(
            masks={"folder": "m", "names": ["a"]},
            layout={"kind": "torchvision"},
            torchvision={"class": "CIFAR10", "calls": {"train": {"train": True}}},
        )


def test_a_variant_may_have_other_masks_and_values_by_name(tmp_path):
    write_image(tmp_path / "a" / "1.jpg")
    write_mask(tmp_path / "fine" / "a" / "1.png", 7, 9)
    text = """
        title = "Own"
        licence = { name = "x", access = "private" }
        obtain = { way = "by hand", steps = ["draw"] }
        layout = { kind = "class_folders", exclude = ["coarse/*", "fine/*"] }
        masks = { folder = "coarse", names = ["a"] }
        [variants.fine]
        masks = { folder = "fine", names = { 7 = "road", 9 = "sky" }, ignore = [] }
    """
    (tmp_path / "own.toml").write_text(text)
    masks = pair_masks(f"{tmp_path}/own.toml", f"{tmp_path}/own.toml:fine")
    assert masks.labels == hp.images.LabelSet(("road", "sky"), (7, 9), ())
    assert masks.read(0)[0].tolist() == [0, 1, 0, 1, 0, 1]
    with pytest.raises(ImageError, match=r"no mask 'coarse/a/1.png' in .*: there is no such file"):
        pair_masks(f"{tmp_path}/own.toml", f"{tmp_path}/own.toml")
    Image.new("L", (2, 2)).save(tmp_path / "fine" / "a" / "1.png")
    with pytest.raises(ShapeError, match="has 2 x 2 pixels"):
        pair_masks(f"{tmp_path}/own.toml", f"{tmp_path}/own.toml:fine")
