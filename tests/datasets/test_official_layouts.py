"""Each shipped manifest reads class, group and split out of a tiny tree in the set's official layout."""

import pickle

import numpy as np
import pytest
from scipy.io import savemat

from hueprobe.datasets import from_manifest
from hueprobe.errors import ImageError
from hueprobe.images import resolve_images, save_table, show_image
from tests.tiny_sets import rows_of, write_image


def lines(path, *texts):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{text}\n" for text in texts))


def mat(path, **variables):
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, variables)


def cells(*texts):
    """Return a column of MATLAB strings, as `file_list` is stored."""
    return np.array([[text] for text in texts], dtype=object)


def read(name, root):
    return rows_of(from_manifest(name, root=root))


def test_caltech101_leaves_the_background_out(tmp_path):
    base = tmp_path / "caltech101" / "101_ObjectCategories"
    for name in ("Faces/image_0001.jpg", "ant/image_0002.jpg", "BACKGROUND_Google/image_0001.jpg"):
        write_image(base / name)
    wanted = {"Faces/image_0001.jpg": ("Faces", None, None), "ant/image_0002.jpg": ("ant", None, None)}
    for root in (tmp_path, tmp_path / "caltech101", base):
        assert read("caltech101", root) == wanted


def test_dtd_has_ten_splits(tmp_path):
    base = tmp_path / "dtd" / "dtd"
    names = [f"{c}/{c}_000{i}.jpg" for c in ("banded", "polka-dotted") for i in range(3)]
    for name in names:
        write_image(base / "images" / name)
    for partition in range(1, 11):
        for i, split in enumerate(("train", "val", "test")):
            lines(base / "labels" / f"{split}{partition}.txt", *names[(i + partition) % 3 :: 3])
    for partition in (1, 2, 10):
        rows = read("dtd" if partition == 1 else f"dtd:{partition}", tmp_path)
        assert len(rows) == 6
        for i, name in enumerate(names):
            assert rows[name] == (name.split("/")[0], ("train", "val", "test")[(i - partition) % 3], None)


def test_stanford_dogs(tmp_path):
    base = tmp_path / "stanford_dogs"
    names = [
        "n02085620-Chihuahua/n02085620_7.jpg",
        "n02085620-Chihuahua/n02085620_9.jpg",
        "n02116738-dog/n02116738_1.jpg",
    ]
    for name in names:
        write_image(base / "Images" / name)
    mat(base / "train_list.mat", file_list=cells(names[0], names[2]), labels=np.array([[1], [2]]))
    mat(base / "test_list.mat", file_list=cells(names[1]))  # a single one: SciPy squeezes it to a string
    assert read("stanford_dogs", tmp_path) == {
        names[0]: ("n02085620-Chihuahua", "train", None),
        names[1]: ("n02085620-Chihuahua", "test", None),
        names[2]: ("n02116738-dog", "train", None),
    }


def test_utkface_reads_names_and_leaves_malformed_ones_out(tmp_path):
    for name in ("26_0_3_20170116.jpg.chip.jpg", "3_1_0_20161219.jpg", "39_1_20170116174525125.jpg.chip.jpg"):
        write_image(tmp_path / "UTKFace" / name)
    assert read("utkface", tmp_path) == {
        "26_0_3_20170116.jpg.chip.jpg": ("male", None, None),
        "3_1_0_20161219.jpg": ("female", None, None),
    }
    assert set(read("utkface:race", tmp_path).values()) == {("Indian", None, None), ("White", None, None)}


def test_cub200_2010(tmp_path):
    base = tmp_path / "CUB_200_2010"
    names = ["001.Black_footed_Albatross/a_1.jpg", "002.Laysan_Albatross/b_2.jpg"]
    for name in names:
        write_image(base / "images" / name)
    lines(base / "lists" / "train.txt", names[0])
    lines(base / "lists" / "test.txt", names[1])
    assert read("cub200_2010", tmp_path) == {
        names[0]: ("001.Black_footed_Albatross", "train", None),
        names[1]: ("002.Laysan_Albatross", "test", None),
    }


@pytest.mark.parametrize(
    "at", ["", "cub200_2011", "cub200_2011/CUB_200_2011", "cub200_2011/CUB_200_2011/images"]
)
def test_cub200_2011_joins_four_lists(tmp_path, at):
    base = tmp_path / "cub200_2011" / "CUB_200_2011"
    names = ["001.Albatross/a_1.jpg", "001.Albatross/a_2.jpg", "002.Laysan/b_2.jpg"]
    for name in names:
        write_image(base / "images" / name)
    lines(base / "images.txt", *(f"{i} {name}" for i, name in enumerate(names, start=1)))
    lines(base / "image_class_labels.txt", "1 1", "2 1", "3 2")
    lines(base / "classes.txt", "1 001.Albatross", "2 002.Laysan")
    lines(base / "train_test_split.txt", "1 0", "2 1", "3 1")
    assert read("cub200_2011", tmp_path / at) == {
        names[0]: ("001.Albatross", "test", None),
        names[1]: ("001.Albatross", "train", None),
        names[2]: ("002.Laysan", "train", None),
    }


def test_flowers102(tmp_path):
    base = tmp_path / "flowers-102"
    for i in range(1, 5):
        write_image(base / "jpg" / f"image_{i:05d}.jpg")
    mat(base / "imagelabels.mat", labels=np.array([[77, 1, 102, 77]], np.uint8))
    mat(base / "setid.mat", trnid=np.array([[2]]), valid=np.array([[3, 1]]), tstid=np.array([[4]], np.uint16))
    assert read("flowers102", tmp_path) == {
        "image_00001.jpg": ("passion flower", "val", None),
        "image_00002.jpg": ("pink primrose", "train", None),
        "image_00003.jpg": ("blackberry lily", "val", None),
        "image_00004.jpg": ("passion flower", "test", None),
    }


def test_flowers17_tells_classes_by_the_running_number(tmp_path):
    base = tmp_path / "flowers-17"
    for i in (1, 80, 81, 1360):
        write_image(base / "jpg" / f"image_{i:04d}.jpg")
    lines(base / "jpg" / "files.txt", "image_0001.jpg")
    splits = {
        f"{part}{i}": np.array([[900 + n]]) for n, part in enumerate(("trn", "val", "tst")) for i in (1, 2, 3)
    }
    splits |= {"trn1": np.array([[1, 1360]]), "val1": np.array([[80]]), "tst1": np.array([[81]])}
    splits |= {"val3": np.array([[80]]), "tst3": np.array([[1]])}
    mat(base / "datasplits.mat", **splits)
    assert read("flowers17", tmp_path) == {
        "image_0001.jpg": ("daffodil", "train", None),
        "image_0080.jpg": ("daffodil", "val", None),
        "image_0081.jpg": ("snowdrop", "test", None),
        "image_1360.jpg": ("pansy", "train", None),
    }
    assert read("flowers17:3", tmp_path)["image_0001.jpg"] == ("daffodil", "test", None)


def test_oxford_pets_takes_what_the_lists_name(tmp_path):
    base = tmp_path / "oxford-iiit-pet"
    for name in ("Abyssinian_1", "american_pit_bull_terrier_12", "Abyssinian_104"):
        write_image(base / "images" / f"{name}.jpg")
    lines(base / "images" / "Abyssinian_100.mat", "")
    lines(base / "annotations" / "trainval.txt", "#Image CLASS-ID SPECIES BREED ID", "Abyssinian_1 1 1 1")
    lines(base / "annotations" / "test.txt", "american_pit_bull_terrier_12 3 2 2")
    assert read("oxford_pets", tmp_path) == {
        "Abyssinian_1.jpg": ("Abyssinian", "trainval", None),
        "american_pit_bull_terrier_12.jpg": ("american_pit_bull_terrier", "test", None),
    }
    assert [row[0] for row in read("oxford_pets:species", tmp_path).values()] == ["cat", "dog"]


def test_indoor67_keeps_images_of_no_split(tmp_path):
    base = tmp_path / "indoor67"
    for name in ("kitchen/int 474.jpg", "kitchen/a.jpg", "bar/b.jpg"):
        write_image(base / "Images" / name)
    lines(base / "TrainImages.txt", "kitchen/int 474.jpg")
    lines(base / "TestImages.txt", "bar/b.jpg")
    assert read("indoor67", tmp_path) == {
        "bar/b.jpg": ("bar", "test", None),
        "kitchen/a.jpg": ("kitchen", None, None),
        "kitchen/int 474.jpg": ("kitchen", "train", None),
    }


def test_fgvc_aircraft_has_three_levels(tmp_path):
    base = tmp_path / "fgvc-aircraft-2013b" / "data"
    for i, split in enumerate(("train", "val", "test")):
        write_image(base / "images" / f"000{i}.jpg")
        lines(base / f"images_variant_{split}.txt", f"000{i} F-16A/B")
        lines(base / f"images_family_{split}.txt", f"000{i} Boeing 707")
        lines(base / f"images_manufacturer_{split}.txt", f"000{i} Lockheed Martin")
    assert read("fgvc_aircraft", tmp_path) == {
        "0000.jpg": ("F-16A/B", "train", None),
        "0001.jpg": ("F-16A/B", "val", None),
        "0002.jpg": ("F-16A/B", "test", None),
    }
    assert read("fgvc_aircraft:family", tmp_path)["0001.jpg"] == ("Boeing 707", "val", None)
    assert read("fgvc_aircraft:manufacturer", tmp_path)["0002.jpg"] == ("Lockheed Martin", "test", None)


def test_stanford_cars_numbers_both_parts_from_one(tmp_path):
    base = tmp_path / "stanford_cars"

    def annotations(*pairs):
        kind = [("bbox_x1", object), ("class", object), ("fname", object)]
        return np.array([(1, np.array([[c]], np.uint8), name) for c, name in pairs], dtype=kind)[None]

    for name in ("cars_train/00001.jpg", "cars_train/00002.jpg", "cars_test/00001.jpg"):
        write_image(base / name)
    mat(base / "devkit" / "cars_train_annos.mat", annotations=annotations((2, "00001.jpg"), (1, "00002.jpg")))
    mat(base / "cars_test_annos_withlabels.mat", annotations=annotations((2, "00001.jpg")))
    names = np.array([["AM General Hummer SUV 2000", "Ram C/V Cargo Van Minivan 2012"]], dtype=object)
    mat(base / "devkit" / "cars_meta.mat", class_names=names)
    assert read("stanford_cars", tmp_path) == {
        "cars_test/00001.jpg": ("Ram C/V Cargo Van Minivan 2012", "test", None),
        "cars_train/00001.jpg": ("Ram C/V Cargo Van Minivan 2012", "train", None),
        "cars_train/00002.jpg": ("AM General Hummer SUV 2000", "train", None),
    }


def test_imagenet_in_class_folders_and_with_a_flat_validation_part(tmp_path):
    base = tmp_path / "imagenet"
    write_image(base / "train" / "n01440764" / "n01440764_18.JPEG")
    write_image(base / "val" / "n01443537" / "ILSVRC2012_val_00000002.JPEG")
    assert read("imagenet1k", base) == {
        "train/n01440764/n01440764_18.JPEG": ("n01440764", "train", None),
        "val/n01443537/ILSVRC2012_val_00000002.JPEG": ("n01443537", "val", None),
    }
    for i in (1, 2, 3):
        write_image(base / "val" / f"ILSVRC2012_val_{i:08d}.JPEG")
    lines(base / "ILSVRC2012_devkit_t12" / "data" / "ILSVRC2012_validation_ground_truth.txt", "2", "1", "2")
    kind = [("ILSVRC2012_ID", object), ("WNID", object)]
    synsets = np.array([(np.array([[1]]), "n01440764"), (np.array([[2]]), "n01443537")], dtype=kind)[:, None]
    mat(base / "ILSVRC2012_devkit_t12" / "data" / "meta.mat", synsets=synsets)
    assert read("imagenet1k:flat_val", tmp_path) == {
        "val/ILSVRC2012_val_00000001.JPEG": ("n01443537", "val", None),
        "val/ILSVRC2012_val_00000002.JPEG": ("n01440764", "val", None),
        "val/ILSVRC2012_val_00000003.JPEG": ("n01443537", "val", None),
    }


def test_cifar_and_mnist_are_datasets(tmp_path, monkeypatch):
    import torchvision

    class Cifar(torchvision.datasets.CIFAR10):
        """Takes batches that the test made."""

        def _check_integrity(self):
            return True

        def _load_meta(self):
            self.classes = ["airplane", "automobile"]

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", Cifar)
    base = tmp_path / "cifar-10-batches-py"
    base.mkdir()
    for i, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        content = {"data": np.full((2, 3072), i, np.uint8), "labels": [0, 1]}
        (base / name).write_bytes(pickle.dumps(content))
    for root in (tmp_path, base):
        table = from_manifest("cifar10", root=root)
        assert len(table) == 12
        assert table.classes == ("airplane", "automobile") * 6
        assert table.splits == ("train",) * 10 + ("test",) * 2
        assert show_image(table, 11).getpixel((0, 0)) == (5, 5, 5)
        assert show_image(table.where_split("test"), 0).size == (32, 32)


def test_mnist_reads_idx_files_and_names_digits(tmp_path, monkeypatch):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, n in (("train", 3), ("t10k", 2)):
        head = b"\x00\x00\x08\x03" + b"".join(x.to_bytes(4, "big") for x in (n, 28, 28))
        (raw / f"{part}-images-idx3-ubyte").write_bytes(head + bytes(n * 784))
        labels = bytes([7, 0, 9][:n])
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(b"\x00\x00\x08\x01" + n.to_bytes(4, "big") + labels)
    for root in (tmp_path, raw):
        table = from_manifest("mnist", root=root)
        assert table.classes == ("7", "0", "9", "7", "0")
        assert table.splits == ("train",) * 3 + ("test",) * 2
    # A split of items that are no files can be saved all the same, and names the manifest.
    monkeypatch.setenv("HUEPROBE_DATA", str(tmp_path))
    save_table(table.where_split("test"), tmp_path / "few.csv", manifest="mnist")
    again = resolve_images(tmp_path / "few.csv")
    assert again.paths == ("item-0000003", "item-0000004")
    assert show_image(again, 1).size == (28, 28)
    file = raw / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ImageError, match=r"torchvision cannot read 'mnist' at .*hueprobe data fetch mnist"):
        from_manifest("mnist")
