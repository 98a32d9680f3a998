"""Drafts: valid manifests that the folder they were made from passes."""

import unicodedata
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hueprobe.datasets import draft_manifest, load_manifest, verify_set
from hueprobe.errors import HueprobeWarning, ImageError
from hueprobe.images.names import normal_name
from tests.tiny_sets import write_image


def drafted(folder, tmp_path, **options):
    file = tmp_path / "mine.toml"
    file.write_text(draft_manifest(folder, **options))
    return load_manifest(file)


@pytest.mark.parametrize(
    ("names", "kind", "classes"),
    [
        (["a/1.png", "b/2.png", "b/deep/3.png"], "class_folders", {"a", "b"}),
        (["train/a/1.png", "test/a/2.png", "test/b/3.png"], "split_folders", {"a", "b"}),
        (["1.png", "2.png"], "pattern", set()),
        (["train/1.png", "test/2.png"], "class_folders", {"train", "test"}),
        (["a/1.png", "b/2.png", "README.md", "a/notes.txt", "odd[1].png"], "class_folders", {"a", "b"}),
    ],
)
def test_a_draft_describes_the_folder(tmp_path, names, kind, classes):
    folder = tmp_path / "my set"
    for name in names:
        write_image(folder / name)
    manifest = drafted(folder, tmp_path, checksums=True)
    assert manifest.layout.kind == kind and set(manifest.counts.class_names) == classes
    for root in (tmp_path, folder):
        found = verify_set(manifest, root=root)
        assert [problem.text for problem in found.problems] == []
    write_image(folder / names[0], "other pixels")
    changed = verify_set(manifest, root=folder)
    assert "checksum" in {problem.kind for problem in changed.problems}


def test_a_flat_folder_is_told_to_have_no_classes(tmp_path):
    write_image(tmp_path / "flat" / "1.png")
    found = verify_set(drafted(tmp_path / "flat", tmp_path), root=tmp_path)
    assert [problem.kind for problem in found.problems] == []


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.text(
            st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=6
        ).filter(lambda name: not name.startswith(".") and name.strip() and name not in ("__MACOSX",)),
        min_size=1,
        max_size=4,
        unique_by=lambda name: normal_name(name).casefold(),
    )
)
def test_names_of_any_kind_survive(tmp_path_factory, names):
    tmp_path = tmp_path_factory.mktemp("names")
    folder = tmp_path / "set"
    for name in names:
        write_image(folder / name / f"{name[:3]}.png", name)
    manifest = drafted(folder, tmp_path)
    assert set(manifest.counts.class_names) == {unicodedata.normalize("NFC", name).strip() for name in names}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HueprobeWarning)  # names are brought to one form
        assert verify_set(manifest, root=folder, decode=False).problems == ()


def test_nothing_to_draft_from(tmp_path):
    with pytest.raises(ImageError, match="no folder at"):
        draft_manifest(tmp_path / "none")
    with pytest.raises(ImageError, match="no images in"):
        draft_manifest(tmp_path)


def test_links_to_elsewhere_are_not_drafted(tmp_path):
    write_image(tmp_path / "out" / "secret.png")
    write_image(tmp_path / "set" / "a" / "1.png")
    (tmp_path / "set" / "b").symlink_to(tmp_path / "out")
    assert set(drafted(tmp_path / "set", tmp_path).counts.class_names) == {"a"}


def test_a_line_break_in_a_name_is_a_name_as_any_other(tmp_path):
    for name in ("a\nb/b\n.png", "c/d\n.png"):
        write_image(tmp_path / "set" / name)
    manifest = drafted(tmp_path / "set", tmp_path)
    assert verify_set(manifest, root=tmp_path).ok and manifest.counts.class_names == ("a\nb", "c")
