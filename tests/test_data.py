"""The data are the published ones, or nothing."""

import hashlib

import numpy as np
import pytest

from nestrade_lib import data, load_fashion_mnist, load_mnist

pytestmark = pytest.mark.any_backend


def test_mnist_is_the_published_data_set():
    (x_train, y_train), (x_test, y_test) = load_mnist(dtype="uint8")
    assert x_train.shape == (60000, 28, 28, 1) and x_test.shape == (10000, 28, 28, 1)
    # The MD5 sums of the published, unpacked IDX files cover a header and then these.
    for array, head, md5 in (
        (x_train, (0x803, 60000, 28, 28), "6bbc9ace898e44ae57da46a324031adb"),
        (x_test, (0x803, 10000, 28, 28), "2646ac647ad5339dbf082846283269ea"),
        (y_train, (0x801, 60000), "a25bea736e30d166cdddb491f175f624"),
        (y_test, (0x801, 10000), "27ae3e4e09519cfbb04c329615203637"),
    ):
        idx = np.array(head, ">u4").tobytes() + array.astype("uint8").tobytes()
        assert hashlib.md5(idx).hexdigest() == md5


def test_float_pixels_are_the_bytes_scaled():
    (floats, _), _ = load_mnist()
    (pixels, _), _ = load_mnist(dtype="uint8")
    assert floats.dtype == np.float32 and floats.min() == 0 and floats.max() == 1
    np.testing.assert_array_equal(np.rint(floats[:1000] * 255), pixels[:1000])


@pytest.mark.parametrize("dtype", ["float64", "int8", None, 32])
def test_unknown_dtype_is_refused(dtype):
    with pytest.raises(ValueError, match="expected 'float32'.*'uint8'"):
        load_mnist(dtype)


@pytest.fixture
def fashion_file(tmp_path, monkeypatch):
    """A small file in the format of Fashion-MNIST, taken for the published one."""
    path = tmp_path / "fashion_mnist.npz"
    images, labels = np.zeros((3, 28, 28), "uint8"), np.arange(3, dtype="uint8")
    np.savez(path, x_train=images, y_train=labels, x_test=images, y_test=labels)
    monkeypatch.setenv("NESTRADE_DATA", str(tmp_path))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(data, "FASHION_SHA256", digest)
    return path


def test_fashion_is_read_from_the_named_folder(fashion_file):
    (x_train, y_train), (x_test, _) = load_fashion_mnist()
    assert x_train.shape == x_test.shape == (3, 28, 28, 1)
    assert y_train.tolist() == [0, 1, 2]


@pytest.mark.parametrize("kept_share", [0.0, 0.5, 0.99])
def test_a_file_cut_short_is_refused_with_its_path(fashion_file, kept_share):
    content = fashion_file.read_bytes()
    fashion_file.write_bytes(content[: int(kept_share * len(content))])
    with pytest.raises(ValueError, match="cut short") as error:
        load_fashion_mnist()
    assert str(fashion_file) in str(error.value)


def test_any_flipped_byte_is_refused(fashion_file):
    content = bytearray(fashion_file.read_bytes())
    for position in np.linspace(0, len(content) - 1, 20).astype(int):
        altered = content.copy()
        altered[position] ^= 1
        fashion_file.write_bytes(altered)
        with pytest.raises(ValueError, match="expected SHA-256"):
            load_fashion_mnist()


def test_a_missing_file_and_a_missing_folder_are_named(fashion_file, monkeypatch):
    fashion_file.unlink()
    with pytest.raises(FileNotFoundError, match="fashion_mnist.npz is missing"):
        load_fashion_mnist()
    monkeypatch.setenv("NESTRADE_DATA", str(fashion_file.parent / "nowhere"))
    with pytest.raises(FileNotFoundError, match="NESTRADE_DATA.*does not exist"):
        load_fashion_mnist()


def test_pickled_objects_are_never_loaded(tmp_path, monkeypatch):
    path = tmp_path / "fashion_mnist.npz"
    np.savez(path, x_train=np.array([{"code": "runs"}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        data.read_npz(path, hashlib.sha256(path.read_bytes()).hexdigest())
