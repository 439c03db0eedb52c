"""Folders, arrays and Parquet files of images become the same arrays; what is bad is said."""

from __future__ import annotations

import gzip
import io
import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import scaling.data.prepare_labelled as preparing
from scaling.cli import main
from scaling.data import ExampleData, fetch_data, open_data
from scaling.data.arrays import IDX_TYPES, read_idx
from scaling.data.image_folder import ImageFolder
from scaling.data.labelled import source_of
from scaling.data.pictures import Undecodable, decode
from scaling.data.prepare_labelled import prepare_labelled

CLASSES = ("cat", "dog", "eel")


def pictures(n: int = 30, seed: int = 0, shape: tuple[int, ...] = (6, 5, 3)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def encoded(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def folder_of(root: Path, images: np.ndarray, part: str = "") -> Path:
    """``root/part/CLASS/i.png``, the classes taken in turn."""
    for i, image in enumerate(images):
        path = root / part / CLASSES[i % 3] / f"{i:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(image))
    return root


def parquet_of(path: Path, images: np.ndarray, nested: bool = True, names: bool = False) -> Path:
    contents = [encoded(image) for image in images]
    labels = [CLASSES[i % 3] if names else i % 3 for i in range(len(images))]
    column = [{"bytes": c, "path": None} for c in contents] if nested else contents
    columns = {"image": column, "label": labels}
    table = pa.table(columns if nested else dict(reversed(columns.items())))
    pq.write_table(table, path, row_group_size=7)
    return path


def idx_of(path: Path, values: np.ndarray, code: int = 8) -> Path:
    head = bytes([0, 0, code, values.ndim]) + np.array(values.shape, ">u4").tobytes()
    content = head + values.astype(IDX_TYPES[code]).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def prepared(name: str, home: Path, *paths: Path, **options) -> ExampleData:
    prepare_labelled(name, source_of(tuple(paths)), home, **options)
    data = open_data(name, home)
    assert isinstance(data, ExampleData)
    return data


def pairs(data: ExampleData) -> list[tuple[bytes, int]]:
    """All examples, both sides, in an order of their own."""
    both = []
    for inputs, labels in (
        (data.train_inputs, data.train_labels),
        (data.heldout_inputs, data.heldout_labels),
    ):
        assert len(inputs) == len(labels)
        both += [(x.tobytes(), int(y)) for x, y in zip(inputs, labels, strict=True)]
    return sorted(both)


def expected(images: np.ndarray) -> list[tuple[bytes, int]]:
    """Channels first, labels 0, 1, 2 in turn."""
    return sorted((x.transpose(2, 0, 1).tobytes(), i % 3) for i, x in enumerate(images))


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


# Decoding.


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


# Bad images.


def spoil(folder: Path) -> list[Path]:
    paths = sorted(folder.rglob("*.png"))[:2]
    paths[0].write_bytes(b"no image at all")
    paths[1].write_bytes(paths[1].read_bytes()[:60])
    return paths


def test_bad_images_are_counted_named_and_skipped_only_when_asked(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SCALING_DATA", str(tmp_path / "data"))
    bad = spoil(folder_of(tmp_path / "f", pictures()))
    command = ["data", "prepare", "mine", "--from", str(tmp_path / "f")]
    for _ in range(2):
        assert main(command) == 2
        said = capsys.readouterr().err
        assert "2 of 30 images cannot be decoded" in said
        assert "--skip-bad" in said
        assert all(str(path.relative_to(tmp_path / "f")) in said for path in bad)
        assert not (tmp_path / "data" / "mine").exists()
    assert main([*command, "--skip-bad", "--json"]) == 0
    out, err = capsys.readouterr()
    printed = json.loads(out)
    assert printed["train_size"] + printed["heldout_size"] == 28
    assert printed["skipped"] == 2
    assert "2 of 30 images cannot be decoded" in err
    meta = json.loads((tmp_path / "data" / "mine" / "meta.json").read_text())
    assert {path for path, _ in meta["skipped"]} == {
        str(p.relative_to(tmp_path / "f")) for p in bad
    }
    assert meta["classes"] == list(CLASSES)
    assert main(command) == 2  # made before, but not without leave


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


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: (d / "a").mkdir(), "has 1 folders; .* one for each of 2 classes"),
        (lambda d: (folder_of(d, pictures(4)), (d / "fox").mkdir()), "fox has no images"),
        (lambda d: (folder_of(d, pictures(4)), (d / "x.png").touch()), "x.png lies in no class"),
        (
            lambda d: folder_of(folder_of(d, pictures(2), "train"), pictures(3), "val"),
            "no class 'eel' to train on",
        ),
        (
            lambda d: (
                folder_of(d, pictures(3)),
                (d / "cat" / "b.png").write_bytes(encoded(pictures(1, shape=(3, 3, 3))[0])),
            ),
            "differ in size.*--resolution",
        ),
        (lambda d: (d / "a.parquet").write_bytes(b"PAR1"), "a.parquet: no Parquet file"),
        (
            lambda d: parquet_of(d / "a.parquet", pictures()).write_bytes(
                (d / "a.parquet").read_bytes()[:-200]
            ),
            "a.parquet: no Parquet file",
        ),
        (
            lambda d: pq.write_table(pa.table({"image": [b"x"], "y": [1]}), d / "a.parquet"),
            "no column 'label'; it has image, y: choose one with --label-column",
        ),
        (
            lambda d: pq.write_table(pa.table({"image": ["x"], "label": [1]}), d / "a.parquet"),
            "column 'image' holds string, not the bytes of images",
        ),
        (
            lambda d: pq.write_table(pa.table({"image": [b"x"], "label": [0.5]}), d / "a.parquet"),
            "column 'label' holds double, not numbers or names",
        ),
        (
            lambda d: pq.write_table(
                pa.table({"image": [b"x", b"y"], "label": [0, None]}), d / "a.parquet"
            ),
            "row 1: the label is missing",
        ),
        (lambda d: (d / "a.npz").write_bytes(b"PK\3\4 no archive"), "cannot be read as arrays"),
        (lambda d: np.savez(d / "a.npz", inputs=pictures(3)), "has no labels beside it"),
        (lambda d: np.savez(d / "a.npz", stuff=np.zeros(3)), "neither inputs nor labels"),
        (
            lambda d: np.savez(d / "a.npz", x=pictures(3), y=np.zeros(4, int)),
            r"of shape \(3, 6, 5, 3\) and y of shape \(4,\) do not go together",
        ),
        (
            lambda d: np.savez(d / "a.npz", x=np.zeros((3, 2, 2), int), y=np.zeros(3, int)),
            "x holds int64: images are uint8",
        ),
        (
            lambda d: np.savez(d / "a.npz", x=np.zeros((3, 9, 4, 7), np.uint8), y=np.zeros(3, int)),
            "1 or 3 channels second or last",
        ),
        (
            lambda d: np.savez(d / "a.npz", x=np.full((3, 2), np.nan), y=np.zeros(3, int)),
            "x: row 0 is not finite",
        ),
        (
            lambda d: np.savez(d / "a.npz", x=np.eye(3), y=np.array([0, 1, -1])),
            "goes from -1 to 1 over 3 examples",
        ),
        (
            lambda d: np.savez(d / "a.npz", x=np.eye(3), y=np.array([0, 0.5, 1])),
            "y holds float64, not whole numbers",
        ),
        (
            lambda d: np.savez(d / "a.npz", x=np.eye(3), y=np.array([0, {}, 1])),
            "cannot be read as arrays of numbers",
        ),
        (lambda d: np.savez(d / "a.npz", x=np.ones((9, 2)), y=np.arange(9)), "1 of them distinct"),
        (lambda d: (d / "images-idx3-ubyte.gz").write_bytes(b"\x1f\x8bno"), "is damaged"),
        (
            lambda d: (d / "images-idx3-ubyte").write_bytes(b"\0\0\x08\x03\0"),
            "ends within its head",
        ),
    ],
)
def test_bad_input_is_one_line_and_exit_2(tmp_path, monkeypatch, capsys, make, message):
    monkeypatch.setenv("SCALING_DATA", str(tmp_path / "data"))
    folder = tmp_path / "given"
    folder.mkdir()
    make(folder)
    assert main(["data", "prepare", "mine", "--from", str(folder)]) == 2
    lines = [e for e in capsys.readouterr().err.splitlines() if e.startswith("scaling data:")]
    assert len(lines) == 1
    assert re.search(message, lines[0]), lines[0]
    assert not (tmp_path / "data" / "mine").exists()


def test_files_that_are_no_images_are_left_out_and_said(tmp_path, capsys):
    folder = folder_of(tmp_path / "f", pictures(6))
    (folder / "cat" / "notes.txt").write_text("x")
    data = prepared("a", tmp_path / "home", folder)
    assert data.info.train_size + data.info.heldout_size == 6
    assert "1 files that do not end as images do are left out" in capsys.readouterr().err


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


@settings(max_examples=15)
@given(at=st.floats(0, 1), flips=st.integers(1, 255))
def test_a_damaged_parquet_file_is_one_clear_error_or_bad_images(tmp_path_factory, at, flips):
    tmp_path = tmp_path_factory.mktemp("damaged")
    path = parquet_of(tmp_path / "a.parquet", pictures(12))
    content = bytearray(path.read_bytes())
    content[int(at * (len(content) - 1))] ^= flips
    path.write_bytes(content)
    try:
        data = prepared("a", tmp_path / "home", path)
    except ValueError as error:
        assert str(path) in str(error) or "cannot be decoded" in str(error) or "label" in str(error)
        assert not (tmp_path / "home" / "a").exists()
    else:  # the byte was in statistics, in names of no use here, or in a pixel
        assert data.info.train_size + data.info.heldout_size == 12


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


def test_copies_across_given_parts_are_said(tmp_path, capsys):
    images = pictures(6)
    folder_of(folder_of(tmp_path / "f", images, "train"), images[:3], "val")
    prepared("a", tmp_path / "home", tmp_path / "f")
    assert "3 of 3 held-out examples are among the training ones too" in capsys.readouterr().err
