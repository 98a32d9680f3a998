"""The part of an image that remains after resizing and cropping."""

from typing import Any

Box = tuple[float, float, float, float]


def visible_box(size: tuple[int, int], resize: Any, crop: Any, *, fit: str = "crop") -> Box:
    """Return the box (left, top, right, bottom), in image pixels, that remains after resizing and cropping.

    Parameters
    ----------
    size : (int, int)
        Width and height of the image in pixels, in the order that PIL uses.
    resize, crop : int, (int, int) or None
        As in `hueprobe.images.Transform`. One number is the shorter side (resize) or the side of a square
        (crop), two numbers are height and width, and None skips the step.
    fit : {"crop", "squash", "pad"}, default="crop"
        As in `hueprobe.images.Transform`. With "pad" the box is larger than the image.

    Returns
    -------
    (float, float, float, float)
        Left, top, right and bottom; edges lie between pixels.

    See Also
    --------
    hueprobe.plots.SeenImage : An image with its box.
    hueprobe.images.Transform : The transform itself.

    Examples
    --------
    >>> visible_box((512, 256), resize=256, crop=224)
    (144.0, 16.0, 368.0, 240.0)
    """
    width, height = size
    if fit != "crop":
        return _framed_box(size, crop or resize, fit)
    new_width, new_height = width, height
    if isinstance(resize, int):  # torchvision rounds the longer side down to whole pixels
        short, long = sorted(size)
        new_width = resize if width == short else resize * long // short
        new_height = resize if height == short else resize * long // short
    elif resize is not None:
        new_height, new_width = resize
    if crop is None:
        return 0.0, 0.0, float(width), float(height)
    crop_height, crop_width = (crop, crop) if isinstance(crop, int) else crop
    left, top = _cropped(new_width, crop_width), _cropped(new_height, crop_height)
    across, down = width / new_width, height / new_height
    return left * across, top * down, (left + crop_width) * across, (top + crop_height) * down


def _framed_box(size: tuple[int, int], frame: Any, fit: str) -> Box:
    """Return the frame around a whole image, in image pixels."""
    width, height = size
    if fit == "squash":
        return 0.0, 0.0, float(width), float(height)
    frame_height, frame_width = (frame, frame) if isinstance(frame, int) else frame
    scale = min(frame_height / height, frame_width / width)
    new_width = min(frame_width, max(1, round(width * scale)))
    new_height = min(frame_height, max(1, round(height * scale)))
    across, down = width / new_width, height / new_height
    left, top = -((frame_width - new_width) // 2) * across, -((frame_height - new_height) // 2) * down
    return left, top, left + frame_width * across, top + frame_height * down


def _cropped(length: int, crop: int) -> int:
    """Return the first pixel of torchvision's center crop; negative where it pads."""
    return -((crop - length) // 2) if crop > length else round((length - crop) / 2)
