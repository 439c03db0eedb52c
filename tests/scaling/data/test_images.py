"""Folders, arrays and Parquet files of images become the same arrays."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scaling.data.images.prepare as preparing
from scaling.data import fetch_data, open_data
from scaling.data.images.arrays import IDX_TYPES, read_idx
from scaling.data.images.image_folder import ImageFolder
from tests.scaling.images_on_disk import (
    CLASSES,
    encoded,
    expected,
    folder_of,
    idx_of,
    pairs,
    parquet_of,
    pictures,
    prepared,
    spoil,
)


def test_every_kind_of_source_gives_the_same_examples(tmp_path):
    images, labels = pictures(), np.arange(30) % 3
    np.savez(tmp_path / "a.npz", inputs=images, labels=labels)
    (tmp_path / "npy").mkdir()
    np.save(tmp_path / "npy" / "images.npy", images.transpose(0, 3, 1, 2))
    np.save(tmp_path / "npy" / "labels.npy", labels)
    sources = {
        "folder": folder_of(tmp_path / "folder", images),
        "nested": parquet_of(tmp_path / "a.parquet", images),
        "plain": parquet_of(tmp_path / "b.parquet", images, nested=False, names=True),
        "npz": tmp_path / "a.npz",
        "npy": tmp_path / "npy",
    }
    for name, path in sources.items():
        data = prepared(name, tmp_path / "home", path, heldout=0.2)
        assert pairs(data) == expected(images), name
        assert data.info.input_shape == (3, 6, 5)
        assert data.info.num_classes == 3
        assert (data.info.train_size, data.info.heldout_size) == (24, 6)
        assert data.train_inputs.dtype == np.uint8


def test_grey_images_and_idx_files_agree(tmp_path):
    images, labels = pictures(30, shape=(4, 7)), np.arange(30) % 3
    for name, values in (
        ("train-images-idx3-ubyte.gz", images),
        ("train-labels-idx1-ubyte", labels),
    ):
        idx_of(tmp_path / name, values)
    idx = prepared("idx", tmp_path / "home", *sorted(tmp_path.glob("train-*")))
    folder = folder_of(tmp_path / "folder", images)
    png = prepared("png", tmp_path / "home", folder, channels=1)
    assert pairs(idx) == pairs(png) == expected(images[..., None])
    assert idx.info.input_shape == (1, 4, 7)


def test_given_parts_are_kept(tmp_path):
    train, val = pictures(9), pictures(6, seed=1)
    folder_of(folder_of(tmp_path / "f", train, "train"), val, "val")
    (tmp_path / "p").mkdir()
    parquet_of(tmp_path / "p" / "train-00000-of-00001.parquet", train)
    parquet_of(tmp_path / "p" / "test-00000-of-00001.parquet", val)
    x = {"x_train": train, "y_train": np.arange(9) % 3, "x_test": val, "y_test": np.arange(6) % 3}
    np.savez(tmp_path / "keras.npz", **x)
    for name, path in (("f", tmp_path / "f"), ("p", tmp_path / "p"), ("k", tmp_path / "keras.npz")):
        data = prepared(name, tmp_path / "home", path)
        assert {x.tobytes() for x in data.heldout_inputs} == {
            x.transpose(2, 0, 1).tobytes() for x in val
        }
        assert pairs(data) == sorted(expected(train) + expected(val))
        with pytest.raises(ValueError, match="comes with a held-out part"):
            prepared(name, tmp_path / "home", path, heldout=0.1)


def test_a_fingerprint_is_of_content_alone(tmp_path):
    images = pictures()
    one = prepared("one", tmp_path / "home", folder_of(tmp_path / "one", images))
    folder = tmp_path / "two" / "deep"
    for i, image in enumerate(images):  # other names, other order
        path = folder / CLASSES[i % 3] / "sub" / f"{len(images) - i}.PNG"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(image))
    two = prepared("two", tmp_path / "home", folder)
    assert one.info.fingerprint == two.info.fingerprint
    images[0, 0, 0, 0] ^= 1
    three = prepared("three", tmp_path / "home", folder_of(tmp_path / "three", images))
    assert three.info.fingerprint != one.info.fingerprint


@settings(max_examples=20)
@given(n=st.integers(2, 40), copies=st.integers(0, 30), share=st.floats(0.01, 0.5))
def test_copies_are_on_one_side_and_both_sides_have_some(tmp_path_factory, n, copies, share):
    tmp_path = tmp_path_factory.mktemp("split")
    images = np.arange(n, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)
    images = np.concatenate([images, np.repeat(images[:1], copies, 0)])
    np.savez(tmp_path / "a.npz", inputs=images, labels=np.arange(n + copies) % 2)
    data = prepared("a", tmp_path, tmp_path / "a.npz", heldout=share)
    train = {x.tobytes() for x in data.train_inputs}
    held = {x.tobytes() for x in data.heldout_inputs}
    assert train and held and not train & held
    assert len(data.train_labels) + len(data.heldout_labels) == n + copies
    if not copies:
        assert len(held) == min(max(1, round(share * n)), n - 1)


def test_features_are_float32(tmp_path):
    rows = np.random.default_rng(0).normal(size=(20, 7))
    np.savez(tmp_path / "a.npz", x=rows, y=np.arange(20) % 4)
    data = prepared("a", tmp_path, tmp_path / "a.npz")
    assert data.train_inputs.dtype == np.float32
    assert data.info.input_shape == (7,)
    assert pairs(data) == sorted(
        (x.astype(np.float32).tobytes(), i % 4) for i, x in enumerate(rows)
    )


@pytest.mark.parametrize("code", sorted(IDX_TYPES))
def test_idx_files_of_every_type_come_back(tmp_path, code):
    values = np.arange(24).reshape(2, 3, 4).astype(IDX_TYPES[code])
    for name in ("a.idx", "a.idx.gz"):
        read = read_idx(idx_of(tmp_path / name, values, code))
        np.testing.assert_array_equal(read, values)
        assert read.dtype == np.dtype(IDX_TYPES[code]).newbyteorder("=")


def test_a_killed_preparation_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    images = pictures(40)
    source = folder_of(tmp_path / "f", images)
    spoil(source)
    whole = prepared("whole", tmp_path / "home", source, skip_bad=True)
    monkeypatch.setattr(preparing, "CHUNK", 4)
    monkeypatch.setattr(preparing, "PART", 300)

    class Killed(BaseException):
        pass

    reads: list[int] = []
    read = ImageFolder.read

    def dying(self, position):
        reads.append(position)
        for i, item in enumerate(read(self, position)):
            if i == 15 and len(reads) < 3:
                raise Killed
            yield item

    monkeypatch.setattr(ImageFolder, "read", dying)
    for _ in range(2):
        with pytest.raises(Killed):
            prepared("parts", tmp_path / "home", source, skip_bad=True)
    parts = prepared("parts", tmp_path / "home", source, skip_bad=True)
    assert reads[0] == 0 < reads[1] < reads[2]
    assert parts.info.fingerprint == whole.info.fingerprint
    assert pairs(parts) == pairs(whole)


def test_fashion_mnist_comes_from_its_four_files_and_no_others(tmp_path):
    sides = {"train": (pictures(20, shape=(28, 28)), 20), "t10k": (pictures(8, 1, (28, 28)), 8)}
    files = tmp_path / "files"
    files.mkdir()
    for side, (images, n) in sides.items():
        idx_of(files / f"{side}-images-idx3-ubyte.gz", images)
        idx_of(files / f"{side}-labels-idx1-ubyte.gz", np.arange(n) % 10)
    with pytest.raises(ValueError, match=r"expected 6aa5bbd1e024.*--sha256") as refused:
        fetch_data("fashion-mnist", files, data_dir=tmp_path)
    found = re.search("has sha256 ([0-9a-f]{64})", str(refused.value)).group(1)
    info = fetch_data("fashion-mnist", files, found, tmp_path)
    data = open_data("fashion-mnist", tmp_path)
    np.testing.assert_array_equal(data.train_inputs[:, 0], sides["train"][0])
    np.testing.assert_array_equal(data.heldout_inputs[:, 0], sides["t10k"][0])
    assert (info.input_shape, info.num_classes) == ((1, 28, 28), 10)


def test_copies_across_given_parts_are_said(tmp_path, capsys):
    images = pictures(6)
    folder_of(folder_of(tmp_path / "f", images, "train"), images[:3], "val")
    prepared("a", tmp_path / "home", tmp_path / "f")
    assert "3 of 3 held-out examples are among the training ones too" in capsys.readouterr().err
