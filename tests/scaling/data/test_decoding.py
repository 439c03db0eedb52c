"""Encoded images become arrays of one size and one mode."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from scaling.cli import main
from scaling.data import open_data
from scaling.data.images.pictures import Undecodable, decode
from tests.scaling.images_on_disk import (
    CLASSES,
    encoded,
    pairs,
    pictures,
)


def test_crop_keeps_the_centre_and_stretch_keeps_all():
    wide = np.zeros((4, 8, 3), np.uint8)
    wide[:, :2], wide[:, 6:], wide[:, 2:6] = 10, 30, 20
    crop = decode(encoded(wide), 3, (4, 4), "crop")
    assert crop.shape == (3, 4, 4)
    assert (crop == 20).all()
    stretched = decode(encoded(wide), 3, (4, 4), "stretch")
    assert stretched[0, :, 0].tolist() != [20] * 4
    assert stretched[0].mean() == pytest.approx(wide[..., 0].mean(), abs=1)


def test_modes_become_grey_or_rgb():
    grey = pictures(1, shape=(3, 4))[0]
    assert (decode(encoded(grey), 3, None, "crop") == grey).all()
    deep = grey.astype(np.uint16) << 8 | 0x55  # 16 bits a pixel
    assert (decode(encoded(deep), 1, None, "crop")[0] == grey).all()
    rgba = np.dstack([pictures(1, shape=(3, 4, 3))[0], np.zeros((3, 4), np.uint8)])
    assert (decode(encoded(rgba), 3, None, "crop") == rgba[..., :3].transpose(2, 0, 1)).all()
    palette = io.BytesIO()
    Image.fromarray(grey).convert("P").save(palette, "GIF", transparency=0)
    assert decode(palette.getvalue(), 3, None, "crop").shape == (3, 3, 4)
    # ITU-R BT.601 luma
    colour = np.full((2, 2, 3), (200, 100, 50), np.uint8)
    luma = round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)
    assert (decode(encoded(colour), 1, None, "crop") == luma).all()


def test_a_photo_lies_as_its_camera_was_held():
    image, buffer = Image.fromarray(pictures(1, shape=(3, 4, 3))[0]), io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    image.save(buffer, "PNG", exif=exif)
    turned = np.asarray(image.rotate(-90, expand=True)).transpose(2, 0, 1)
    assert (decode(buffer.getvalue(), 3, None, "crop") == turned).all()


@settings(max_examples=30)
@given(cut=st.floats(0, 0.95), kind=st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "TIFF"]))
def test_a_cut_off_image_is_undecodable(cut, kind):
    whole = encoded(pictures(1, shape=(40, 40, 3))[0], kind)
    with pytest.raises(Undecodable):
        decode(whole[: int(cut * len(whole))], 3, None, "crop")


def test_images_of_many_sizes_get_one(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SCALING_DATA", str(tmp_path / "data"))
    folder = tmp_path / "f"
    for i in range(36):
        path = folder / CLASSES[i % 3] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(pictures(1, seed=i, shape=(5 + i % 12, 16 - i % 12, 3))[0]))
    command = ["data", "prepare", "mine", "--from", str(folder), "--json"]
    assert main([*command, "--resolution", "8x6", "--fit", "stretch", "--channels", "1"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["input_shape"] == [1, 8, 6]
    data = open_data("mine")
    assert len(pairs(data)) == 36
    assert main([*command, "--resolution", "9"]) == 2
    assert "mine is another data set already" in capsys.readouterr().err
    assert main([*command, "--resolution", "big"]) == 2
    assert "--resolution 'big': give pixels, as in 224 or 192x256" in capsys.readouterr().err
    assert main([*command, "--resolution", "0"]) == 2
    assert "must be between 1 and 4096" in capsys.readouterr().err
