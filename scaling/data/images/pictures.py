"""One encoded image to bytes ``(channels, height, width)``: decoded, resized, cropped (Pillow)."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.data.images.labelled import Content, Unusable

CHANNELS = {1: "L", 3: "RGB"}
FITS = ("crop", "stretch")


class Undecodable(ValueError):
    """A content that is no image; the message says why."""


def decode(content: Content, channels: int, size: tuple[int, int] | None, fit: str) -> Any:
    """An image as uint8 ``(channels, height, width)``; an array is resized if it is one of bytes.

    Parameters
    ----------
    channels : {1, 3}
        Grey (luma of ITU-R BT.601) or RGB; transparency is dropped.
    size : (height, width), optional
        The resolution; the image's own when left out.
    fit : {"crop", "stretch"}
        ``crop`` scales the image to cover ``size`` and cuts out its centre; ``stretch`` scales
        it to ``size`` whatever its shape. Bilinear with antialiasing. JPEG files of more than
        twice the size are first reduced by their decoder.

    Raises
    ------
    Undecodable
        For whatever is wrong with the content.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    if isinstance(content, np.ndarray):
        return _fit_array(content, size, fit)
    if content is None or isinstance(content, Unusable):
        raise Undecodable(content or "it is missing")
    try:
        raw = content.read_bytes() if isinstance(content, Path) else content
        with Image.open(io.BytesIO(raw)) as opened:
            if size is not None:
                opened.draft(CHANNELS[channels], (2 * size[1], 2 * size[0]))
            image = _in_mode(ImageOps.exif_transpose(opened), CHANNELS[channels])
        return _pixels(_fitted(image, size, fit))
    except MemoryError:
        raise
    except UnidentifiedImageError:  # its own words have an address in memory
        raise Undecodable("no known image format") from None
    except Exception as error:  # Pillow's decoders raise nearly anything on broken input
        if isinstance(error, OSError) and error.errno:
            raise  # the disk's fault, not the image's
        raise Undecodable(" ".join(str(error).split()) or type(error).__name__) from None


def _in_mode(image: Any, mode: str) -> Any:
    if image.mode.startswith("I"):  # 16 bits a pixel; Pillow itself would cut them off at 255
        values = np.asarray(image).astype(np.int64) >> 8
        from PIL import Image

        image = Image.fromarray(values.clip(0, 255).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert(mode)


def _fitted(image: Any, size: tuple[int, int] | None, fit: str) -> Any:
    from PIL import Image, ImageOps

    if size is None or image.size == (size[1], size[0]):
        return image
    if fit == "crop":
        return ImageOps.fit(image, (size[1], size[0]), Image.Resampling.BILINEAR)
    return image.resize((size[1], size[0]), Image.Resampling.BILINEAR)


def _pixels(image: Any) -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = np.asarray(image, np.uint8)
    pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return np.ascontiguousarray(pixels)


def _fit_array(array: NDArray[Any], size: tuple[int, int] | None, fit: str) -> NDArray[Any]:
    if size is None or array.shape[1:] == size:
        return array
    if array.ndim != 3 or array.dtype != np.uint8:
        raise ValueError(f"--resolution is for images of bytes, not {array.dtype} {array.shape}")
    from PIL import Image

    planes = [_fitted(Image.fromarray(np.ascontiguousarray(p)), size, fit) for p in array]
    return np.stack([np.asarray(plane, np.uint8) for plane in planes])
