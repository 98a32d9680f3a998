"""The part of a manifest about masks: where the mask of an image is, and what its pixel values mean."""

from typing import Annotated

from msgspec import Meta

from hueprobe.datasets.inside import require_inside
from hueprobe.datasets.records import Record
from hueprobe.datasets.words import OptionalText, Text, require_path
from hueprobe.errors import InputError
from hueprobe.images.label_names import IGNORE, MOST_VALUE, LabelSet, label_set

PixelValue = Annotated[int, Meta(ge=0, le=MOST_VALUE)]


class MaskFiles(Record, frozen=True, kw_only=True):
    """The masks of a data set, index PNGs with the same paths as the images apart from folder and ending.

    Attributes
    ----------
    folder : str
        Folder of the masks below the set's own folder.
    ending : str, default='.png'
        End of a mask's name, in place of `image_ending`.
    image_ending : str, default=''
        End of an image's name; empty for its last suffix, such as .jpg.
    names : tuple of str, or dict of str to str
        Names of the labels of the values 0, 1, ... (1, 2, ... if 0 is ignored); or by pixel value.
    ignore : tuple of int, default=(255,)
        Pixel values that are not labeled.
    zero_is_ignore : bool, default=False
        Whether 0 is ignored too.
    """

    folder: Text
    ending: Text = ".png"
    image_ending: OptionalText = ""
    names: tuple[Text, ...] | dict[str, Text]
    ignore: tuple[PixelValue, ...] = IGNORE
    zero_is_ignore: bool = False

    def __post_init__(self) -> None:
        """Reject paths that lead out of the folder, and names and values that do not fit."""
        require_path("folder", self.folder)
        for key, ending in (("ending", self.ending), ("image_ending", self.image_ending)):
            if "/" in ending or (ending and require_inside(ending)):
                raise ValueError(f"{key}: {ending!r} is not the end of a file's name; give one such as .png")
        try:
            self.labels()
        except InputError as error:
            raise ValueError(f"names: {error}") from None

    def labels(self) -> LabelSet:
        """Return the labels of the pixel values."""
        return label_set(self.names, ignore=self.ignore, zero_is_ignore=self.zero_is_ignore)

    def mask_of(self, image: str) -> str | None:
        """Return the path of an image's mask below the set's folder; None if the image has another ending.

        Parameters
        ----------
        image : str
            Path of the image below the images' folder, with `/`.

        Examples
        --------
        >>> MaskFiles(folder="masks", names=("a", "b")).mask_of("train/1.jpg")
        'masks/train/1.png'
        >>> masks = MaskFiles(folder="gt", ending="_gt.png", image_ending="_rgb.png", names=("a",))
        >>> masks.mask_of("1_rgb.png"), masks.mask_of("1.png")
        ('gt/1_gt.png', None)
        """
        name = image.rpartition("/")[2]
        ending = self.image_ending or (name[name.rfind(".") :] if "." in name else "")
        if not name.endswith(ending) or name == ending:
            return None
        return f"{self.folder}/{image.removesuffix(ending)}{self.ending}"
