"""Image tables from torch Datasets."""

import io

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image, UnidentifiedImageError
from torch.utils.data import ConcatDataset, Dataset, Subset, TensorDataset

from hueprobe.errors import HueprobeWarning, ImageError, InputError
from hueprobe.images import from_dataset, read_image, resolve_images, show_image
from hueprobe.images.reading import content_hash, read_row


class Images(Dataset):
    """Items as given; counts how often one is read."""

    def __init__(self, items, **attributes):
        self.items = items
        self.reads = 0
        self.__dict__.update(attributes)

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        self.reads += 1
        if isinstance(self.items[i], Exception):
            raise self.items[i]
        return self.items[i]


GRAY = Image.new("L", (4, 3), 100)


def test_labels_are_named_by_classes_without_reading_images():
    dataset = Images([(GRAY, 1), (GRAY, 0), (GRAY, 1)], targets=[1, 0, 1], classes=["cat", "dog"])
    table = from_dataset(dataset)
    assert table.classes == ("dog", "cat", "dog")
    assert table.paths == ("item-0000000", "item-0000001", "item-0000002")
    assert set(table.roots) == {""} and set(table.sizes) == {-1}
    assert dataset.reads == 0
    assert resolve_images(dataset) == table
    assert resolve_images(dataset).dataset is dataset


@pytest.mark.parametrize(
    ("name", "values"),
    [("targets", torch.tensor([1, 0])), ("labels", np.array([1, 0])), ("targets", [np.int64(1), True - 1])],
)
def test_labels_of_any_kind(name, values):
    dataset = Images([(GRAY, 1), (GRAY, 0)], classes=["cat", "dog"], **{name: values})
    assert from_dataset(dataset).classes == ("dog", "cat")


def test_bytes_are_read_like_the_file_they_come_from(tmp_path):
    file, exif = tmp_path / "turned.jpg", Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.linear_gradient("L").resize((12, 9)).save(file, exif=exif)
    table = from_dataset([(file.read_bytes(), "a"), (b"no image", "b")])
    (image, record), (expected, of_file) = read_row(table, 0), read_image(file)
    assert record == of_file and (record.width, record.height) == (9, 12)
    np.testing.assert_array_equal(np.asarray(image), np.asarray(expected))
    assert content_hash(table, 0) == of_file.sha256
    assert read_row(table, 1)[1].reason == "not an image of a known format"


@pytest.mark.parametrize("label", [3, np.int64(3), np.array(3), torch.tensor(3), "3"])
def test_labels_read_from_items(label):
    dataset = Images([(GRAY, label)])
    assert from_dataset(dataset).classes == ("3",)
    assert dataset.reads == 1


def test_a_target_transform_counts():
    dataset = Images([(GRAY, "even"), (GRAY, "odd")], targets=[0, 1], target_transform=str)
    assert from_dataset(dataset).classes == ("even", "odd")


def test_stored_labels_of_another_length_do_not_count():
    dataset = Images([(GRAY, 5)], targets=[1, 2, 3])
    assert from_dataset(dataset).classes == ("5",)


def test_subsets_look_up_the_labels_of_the_whole():
    whole = Images([(GRAY, 0), (GRAY, 1), (GRAY, 2)], targets=[0, 1, 2], classes=["a", "b", "c"])
    assert from_dataset(Subset(Subset(whole, [2, 0, 1]), [2, 0])).classes == ("b", "c")
    assert whole.reads == 0


def test_images_without_labels():
    assert from_dataset(Images([GRAY, GRAY])).classes == (None, None)
    assert from_dataset(TensorDataset(torch.zeros(2, 3, 4, 4))).classes == (None, None)
    marked = Images([(GRAY, -1), (GRAY, 0)], labels=[-1, 0], classes=["a"])
    assert from_dataset(marked).classes == (None, "a")


def test_selected_rows_still_find_their_items():
    dataset = Images([(Image.new("L", (2, 2), i), i) for i in range(5)])
    table = from_dataset(dataset).select([4, 2])
    assert [show_image(table, i).getpixel((0, 0))[0] for i in range(2)] == [4, 2]


def test_an_item_that_cannot_be_read_keeps_its_slot():
    dataset = Images([ValueError("broken"), (GRAY, 1)])
    with pytest.warns(HueprobeWarning, match="1 of 2 Dataset items cannot be read"):
        assert from_dataset(dataset).classes == (None, "1")


def test_reasons_hold_no_addresses():
    dataset = Images([UnidentifiedImageError(f"cannot identify image file {io.BytesIO()!r}")], targets=[0])
    with pytest.raises(ImageError, match=r"image file <_io.BytesIO object>$"):
        show_image(from_dataset(dataset), 0)


@pytest.mark.parametrize(
    ("dataset", "said"),
    [
        (iter([]), "cannot take images from list_iterator"),
        ({"a": 1}, "cannot take images from dict"),
        (7, "cannot take images from int"),
        (Images([]), "Images has no items"),
        (Images([(GRAY, [0, 1])]), r"label is \[0, 1\]; give a class name or an integer"),
        (Images([(GRAY, 2)], classes=["a", "b"]), "label is 2, but dataset.classes has 2 names"),
        (Images([(GRAY, 1.5)]), "label is 1.5"),
    ],
)
def test_what_is_refused(dataset, said):
    with pytest.raises(InputError, match=said):
        from_dataset(dataset)


class HuggingFace(Images):
    """What is used of `datasets.Dataset`: rows by number, columns by name, features."""

    class ClassLabel:
        def __init__(self, names):
            self.names = names

    def __init__(self, rows, **features):
        super().__init__(rows, features=features, column_names=list(rows[0]))

    def __getitem__(self, i):
        return [row[i] for row in self.items] if isinstance(i, str) else super().__getitem__(i)


@pytest.mark.parametrize("image_key", ["image", "img", "pixel_values"])
def test_items_that_are_mappings(image_key):
    rows = [{image_key: GRAY, "label": 1}, {image_key: GRAY, "label": 0}]
    for source in (Images(rows, classes=["cat", "dog"]), rows):
        table = resolve_images(source)
        assert table.classes in (("dog", "cat"), ("1", "0"))
        assert show_image(table, 0).getpixel((0, 0)) == (100, 100, 100)
    assert from_dataset(Images(rows, classes=["cat", "dog"])).classes == ("dog", "cat")


def test_columns_of_hugging_face_are_read_without_the_images():
    rows = [{"image": GRAY, "label": i} for i in (1, 0, -1)]
    dataset = HuggingFace(rows, image=object(), label=HuggingFace.ClassLabel(["cat", "dog"]))
    table = from_dataset(dataset)
    assert table.classes == ("dog", "cat", None) and dataset.reads == 0
    assert from_dataset(Subset(dataset, [1, 0])).classes == ("cat", "dog")
    assert show_image(table, 2).size == (4, 3)


def test_mappings_without_a_known_key():
    with pytest.warns(HueprobeWarning, match="none of their keys 'species' is 'label'"):
        assert from_dataset(Images([{"image": GRAY, "species": "fox"}])).classes == (None,)
    with pytest.raises(ImageError, match="keys 'photo', 'label'; its image must be under 'image'"):
        show_image(from_dataset(Images([{"photo": GRAY, "label": "fox"}])), 0)


def test_several_data_sets_in_one_mapping():
    parts = {"train": Images([GRAY]), "test": Images([GRAY])}
    with pytest.raises(InputError, match="contains several data sets, 'train', 'test'; give one"):
        resolve_images(parts)


def test_each_part_of_a_concatenation_has_its_own_names():
    one = Images([(GRAY, 0), (GRAY, 1)], targets=[0, 1], classes=["cat", "dog"])
    two = Images([(GRAY, 0), (GRAY, 1)], targets=[0, 1], classes=["dog", "fox"])
    three = Images([(GRAY, "cat")])
    assert from_dataset(ConcatDataset([one, two, three])).classes == ("cat", "dog", "dog", "fox", "cat")
    assert from_dataset(Subset(ConcatDataset([one, two]), [3, 0])).classes == ("fox", "cat")
    assert one.reads == two.reads == 0


@pytest.mark.parametrize("classes", [np.array(["cat", "dog"]), {0: "cat", 1: "dog"}, ("cat", "dog")])
def test_names_of_classes_of_any_kind(classes):
    assert from_dataset(Images([(GRAY, 1)], classes=classes)).classes == ("dog",)
    assert from_dataset(Images([(GRAY, torch.tensor([1]))], classes=classes)).classes == ("dog",)


def test_a_list_of_items_is_a_dataset():
    items = [(GRAY, "cat"), (np.full((3, 4), 100, np.uint8), "dog")]
    table = resolve_images(items)
    assert table.classes == ("cat", "dog")
    assert show_image(table, 1).getpixel((0, 0)) == (100, 100, 100)
    assert resolve_images([GRAY, GRAY]).classes == (None, None)


def test_a_long_label_is_cut_short():
    with pytest.raises(InputError, match=r"a Dataset label is .*\.\.\.; give a class name") as caught:
        from_dataset(Images([(GRAY, torch.arange(1000))]))
    assert len(str(caught.value)) < 200
