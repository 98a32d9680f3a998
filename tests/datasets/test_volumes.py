"""Slices of small volumes made here: which plane, where, which way up, how bright."""

import importlib.util

import nibabel
import numpy as np
import pytest
from PIL import Image

from hueprobe.datasets import fetch_set, from_manifest, load_manifest, verify_set
from hueprobe.datasets.schema import Slices
from hueprobe.datasets.volumes import read_slices, slice_folder, slice_names
from hueprobe.errors import ImageError, MissingDependencyError
from hueprobe.images import show_image
from tests.tiny_sets import manifest_of, rows_of


def save(path, values, zooms=(1, 1, 1), flips=(1, 1, 1)):
    """Save an array whose axes are right, anterior, superior; stored turned where a flip is -1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([*(zoom * flip for zoom, flip in zip(zooms, flips, strict=True)), 1.0])
    stored = values[tuple(slice(None, None, flip) for flip in flips)]
    nibabel.save(nibabel.Nifti1Image(stored.astype(np.float32), affine), path)
    return path


def slices(**keys):
    usual = {
        "plane": "axial",
        "spacing": 1.0,
        "count": 1,
        "window": (0.0, 255.0),
        "window_is": "intensity",
    }
    return Slices(**{**usual, **keys})


def ramp(shape=(4, 5, 6)):
    """Return a volume whose values tell where they are: 100 x + 10 y + z."""
    x, y, z = np.indices(shape)
    return 100 * x + 10 * y + z


@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, 1), (-1, -1, 1), (-1, 1, -1)])
@pytest.mark.parametrize(("plane", "axis"), [("axial", 2), ("coronal", 1), ("sagittal", 0)])
def test_a_slice_is_the_plane_with_up_up_however_it_is_stored(tmp_path, plane, axis, flips):
    values = np.random.default_rng(0).integers(0, 256, (5, 7, 9))
    file = save(tmp_path / "v.nii.gz", values, flips=flips)
    (image,) = read_slices(file, slices(plane=plane))
    middle = values.take((values.shape[axis] - 1) // 2, axis=axis)  # (columns, rows upwards)
    for column in range(middle.shape[0]):
        for height in range(middle.shape[1]):
            assert image[middle.shape[1] - 1 - height, column] == middle[column, height]


def test_slices_lie_apart_by_millimeters_and_around_the_middle(tmp_path):
    file = save(tmp_path / "v.nii", np.broadcast_to(np.arange(21), (3, 3, 21)), zooms=(1, 1, 2))
    found = [image[0, 0] for image in read_slices(file, slices(spacing=6.0, count=5))]
    assert found == [4, 7, 10, 13, 16]  # 3 voxels of 2 mm apart, around voxel 10
    with pytest.raises(
        ImageError, match=r"is 42 mm deep, but 5 axial slices 11 mm apart need 44 mm; choose fewer"
    ):
        read_slices(file, slices(spacing=11.0, count=5))


def test_pixels_become_square(tmp_path):
    file = save(tmp_path / "v.nii", ramp((4, 6, 5)), zooms=(1, 1, 2.5))
    assert read_slices(file, slices())[0].shape == (6, 4)
    assert read_slices(file, slices(plane="coronal"))[0].shape == (round(5 * 2.5), 4)
    assert read_slices(file, slices(plane="sagittal"))[0].shape == (round(5 * 2.5), 6)


def test_the_window_makes_black_and_white(tmp_path):
    file = save(tmp_path / "v.nii", np.array([-5, 10, 60, 110, 999.0]).reshape(5, 1, 1))
    assert read_slices(file, slices(window=(10.0, 110.0)))[0][0].tolist() == [0, 0, 128, 255, 255]
    values = np.concatenate([np.zeros(100), np.arange(1, 102)]).reshape(201, 1, 1)
    file = save(tmp_path / "p.nii", values)
    row = read_slices(file, slices(window=(10.0, 90.0), window_is="percentile"))[0][0]
    # Of the voxels that are not 0 (1 ... 101) the 10th percentile is 11, the 90th 91.
    assert row[100 + 10] == 0 and row[100 + 11] == round(255 / 80) and row[100 + 90] == 255
    assert row[100 + 50] == round(255 * (51 - 11) / 80)


def test_bad_volumes_are_told(tmp_path):
    (tmp_path / "v.nii.gz").write_bytes(b"no volume")
    with pytest.raises(ImageError, match="cannot read volume"):
        read_slices(tmp_path / "v.nii.gz", slices())
    whole = save(tmp_path / "w.nii.gz", np.random.default_rng(0).normal(size=(9, 9, 9))).read_bytes()
    (tmp_path / "w.nii.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImageError, match="cannot read volume"):
        read_slices(tmp_path / "w.nii.gz", slices())
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 3, 3, 2), np.float32), np.eye(4)), tmp_path / "t.nii")
    with pytest.raises(ImageError, match="has 4 axes; a volume has 3"):
        read_slices(tmp_path / "t.nii", slices())
    with pytest.raises(ImageError, match="is 0 everywhere"):
        read_slices(
            save(tmp_path / "z.nii", np.zeros((3, 3, 3))), slices(window_is="percentile", window=(1, 99))
        )


def test_names_are_in_order_and_settings_have_folders_of_their_own():
    assert slice_names("a/v.nii", slices(count=11))[:2] == ["a/v/axial_00.png", "a/v/axial_01.png"]
    assert slice_names("a/v.nii", slices(count=11)) == sorted(slice_names("a/v.nii", slices(count=11)))
    assert slice_folder(slices()) != slice_folder(slices(window=(0.0, 254.0)))


@pytest.fixture
def hcp(tmp_path):
    """Four subjects of two families in the layout of HCP."""
    rng = np.random.default_rng(0)
    lines, restricted = ["Subject,Gender,Age"], ["Subject,Family_ID,Mother_ID"]
    for subject, sex, family in ((100307, "F", "51488_81149"), (100408, "M", "51488_81149"),
                                 (101006, "F", "56037_85858"), (101107, "M", "51730_81401")):  # fmt: skip
        values = rng.integers(0, 1000, (10, 12, 80))
        save(tmp_path / "HCP" / str(subject) / "T1w" / "T1w_acpc_dc_restore_brain.nii.gz", values)
        (tmp_path / "HCP" / str(subject) / "T1w" / "brainmask_fs.nii.gz").write_bytes(b"not ours")
        lines.append(f"{subject},{sex},26-30")
        restricted.append(f"{subject},{family},1")
    (tmp_path / "HCP" / "unrestricted.csv").write_text("\n".join(lines))
    (tmp_path / "HCP" / "restricted.csv").write_text("\n".join(restricted))
    return tmp_path


def test_hcp_gives_sex_by_family_and_family_by_subject(hcp):
    with pytest.raises(
        ImageError, match=r"28 of 28 slices of 'hcp' are not written yet; `hueprobe data fetch hcp`"
    ):
        from_manifest("hcp", root=hcp)
    assert fetch_set("hcp", root=hcp).n_images == 28
    table = from_manifest("hcp", root=hcp)
    rows = rows_of(table)
    assert len(rows) == 28
    name = "T1w/T1w_acpc_dc_restore_brain/axial_3.png"
    assert rows[f"100307/{name}"] == ("female", None, "51488_81149")
    assert rows[f"100408/{name}"] == ("male", None, "51488_81149")
    families = rows_of(from_manifest("hcp:family", root=hcp))
    assert families[f"100408/{name}"] == ("51488_81149", None, "100408")
    opened = rows_of(from_manifest("hcp:open", root=hcp))
    assert opened[f"100408/{name}"] == ("male", None, "100408")
    # Ordinary images: files that anything reads.
    assert show_image(table, 0).size == (10, 12)
    with Image.open(table.file(0)) as image:
        assert image.mode == "L"
    before = table.file(0).stat().st_mtime_ns
    assert fetch_set("hcp", root=hcp).was_there
    assert table.file(0).stat().st_mtime_ns == before
    assert verify_set("hcp", root=hcp / "HCP").ok


def test_a_slice_that_is_lost_is_written_again_and_a_bad_volume_is_told(hcp):
    fetch_set("hcp", root=hcp)
    lost = from_manifest("hcp", root=hcp).file(5)
    lost.unlink()
    fetch_set("hcp", root=hcp)
    assert lost.is_file()
    lost.unlink()
    (hcp / "HCP" / "100307" / "T1w" / "T1w_acpc_dc_restore_brain.nii.gz").write_bytes(b"broken")
    with pytest.raises(ImageError, match=r"cannot read volume .*100307"):
        fetch_set("hcp", root=hcp)


def test_without_nibabel_the_extra_is_named(hcp, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "nibabel" else find(name, *a)
    )
    with pytest.raises(
        MissingDependencyError, match=r"nibabel, which is not installed; pip install 'hueprobe\[volumes\]'"
    ):
        fetch_set("hcp", root=hcp)


def test_windows_in_intensities_and_one_class(tmp_path):
    save(tmp_path / "a_1.nii", ramp())
    manifest = manifest_of(
        layout={"kind": "volumes", "pattern": r"(?P<class>\w)_(?P<group>\d)\.nii"},
        slices={"plane": "coronal", "spacing": 1, "count": 2, "window": [0, 255], "window_is": "intensity"},
        counts={"images": 1, "classes": 1, "each_class": 1},
    )
    fetch_set(manifest, root=tmp_path)
    assert rows_of(from_manifest(manifest, root=tmp_path)) == {
        "a_1/coronal_0.png": ("a", None, "1"), "a_1/coronal_1.png": ("a", None, "1"),
    }  # fmt: skip
    assert verify_set(manifest, root=tmp_path).ok  # counts are of volumes, images are slices
    assert load_manifest("hcp").slices.window_is == "percentile"
