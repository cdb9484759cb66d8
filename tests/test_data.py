import gzip
import hashlib
import os
import pickle
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from energybench.workloads import _fonts, _glyphs, _idx, _literal, _published, data

PARTS = ("train", "t10k")
SIDE = 32 * 32


def idx(array):
    """An IDX file of unsigned bytes."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def sums(folder):
    """A SHA256SUMS file of a directory, as sha256sum writes it."""
    files = sorted(path for path in folder.iterdir() if path.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (folder / "SHA256SUMS").write_text("".join(lines))


def pictures(count, *, classes=10, seed=0, shape=(28, 28)):
    random = np.random.default_rng(seed)
    return random.integers(256, size=(count, *shape), dtype=np.uint8), np.arange(count) % classes


@pytest.fixture
def mnist(tmp_path):
    """A directory in MNIST's format: 40 pictures to train with, 20 to test with."""
    for part, count in zip(PARTS, (40, 20), strict=True):
        images, labels = pictures(count, seed=count)
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx(images))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx(labels))
    sums(tmp_path)
    return tmp_path


def test_a_test_set_that_is_the_training_set_is_refused(mnist):
    for kind in ("images-idx3", "labels-idx1"):
        (mnist / f"t10k-{kind}-ubyte").write_bytes((mnist / f"train-{kind}-ubyte").read_bytes())
    sums(mnist)
    with pytest.raises(ValueError, match="has the same images for training and for test: copy its test files again"):
        data.load(str(mnist), seed=0)


@pytest.mark.parametrize("name", ["", "  "])
def test_no_name_is_no_folder(name):
    with pytest.raises(LookupError, match="data is empty: there are digits, glyphs"):
        data.load(name, seed=0)


def batch_of(labels, planes, key="labels", protocol=2):
    names = [f"picture_{place}.png".encode() for place in range(len(labels))]
    held = {b"batch_label": b"batch", key.encode(): list(map(int, labels)), b"data": planes, b"filenames": names}
    return pickle.dumps(held, protocol=protocol)


def python_2_batch(labels, planes):
    """The bytes that Python 2's cPickle writes in protocol 2: strings as BINSTRING, an array by numpy's own names."""
    raw = planes.tobytes()
    array = b"cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87Rq\x09(K\x01"
    shape = b"M" + struct.pack("<H", len(planes)) + b"M" + struct.pack("<H", planes.shape[1]) + b"\x86"
    dtype = b"cnumpy\ndtype\nq\x0aU\x02u1K\x00K\x01\x87Rq\x0b(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    numbers = b"]q\x04(" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    held = array + shape + dtype + b"\x89T" + struct.pack("<i", len(raw)) + raw + b"tb"
    return b"\x80\x02}q\x01(U\x06labelsq\x03" + numbers + b"U\x04dataq\x06" + held + b"u."


WRITERS = {
    "numpy's array, protocol 2": lambda labels, planes: batch_of(labels, planes),
    "numpy's array, protocol 4": lambda labels, planes: batch_of(labels, planes, protocol=4),
    "bytes, protocol 2": lambda labels, planes: batch_of(labels, planes.tobytes()),
    "bytes, protocol 5": lambda labels, planes: batch_of(labels, planes.tobytes(), protocol=5),
    "Python 2": python_2_batch,
}


def cifar_parts(per_file=4, classes=10):
    """Six times planes (n, 3072) and labels."""
    parts = []
    for seed in range(6):
        planes, labels = pictures(per_file, seed=seed, shape=(3 * SIDE,))
        parts.append((planes, (labels + seed) % classes))
    return parts


def cifar_names(suffix):
    return [*(f"data_batch_{number}{suffix}" for number in range(1, 6)), f"test_batch{suffix}"]


def write_cifar(folder, write=None):
    """CIFAR-10 in the binary version, or in the Python version as `write` writes it."""
    for name, (planes, labels) in zip(cifar_names("" if write else ".bin"), cifar_parts(), strict=True):
        records = np.concatenate([labels[:, None].astype(np.uint8), planes], axis=1).tobytes()
        (folder / name).write_bytes(write(labels, planes) if write else records)
    sums(folder)
    return folder


# digits


def test_digits_are_what_they_always_were():
    pytest.importorskip("sklearn")
    digits = data.load("digits", seed=3)
    assert digits.described() == {
        "name": "digits",
        "sha256": "9412306fcce78e42a62b53b9d042f3208a5a9def042d75be348d43b1647f21f4",
        "train": 1438,
        "test": 359,
    }
    assert digits.shape == (8, 8, 1)
    assert digits.class_names == tuple("0123456789")
    # The order of the split as it was before there were other sets.
    order = hashlib.sha256(digits.train_pixels.tobytes() + digits.test_labels.tobytes()).hexdigest()
    assert order == "c8c62039cb052df9abf34e4369421640c0fc912e818bf302cb99cc95fe0f3d87"


def test_fewer_digits_are_the_first_of_all_of_them():
    pytest.importorskip("sklearn")
    every, some = data.load("digits", seed=1), data.load("digits:100", seed=1)
    np.testing.assert_array_equal(some.train_pixels, every.train_pixels[:100])
    np.testing.assert_array_equal(some.test_pixels, every.test_pixels)
    with pytest.raises(ValueError, match="digits has 1438 training samples, not 5000: ask for fewer, or for glyphs"):
        data.load("digits", seed=1, samples=5000)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"name_or_dir": "glyphs:many"}, "the number of samples does not fit: it is 1 or more, as in glyphs:60000"),
        ({"name_or_dir": "glyphs:0"}, "the number of samples does not fit"),
        ({"name_or_dir": "glyphs", "samples": -1}, "the number of samples does not fit"),
        ({"name_or_dir": "glyphs", "held_out": 1.0}, r"held_out=1.0 does not fit: it is a share, from 0 to below 1"),
    ],
)
def test_a_number_that_does_not_fit_is_refused_in_one_line(arguments, complaint):
    with pytest.raises(ValueError, match=complaint) as caught:
        data.load(**arguments, seed=0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("imagenet", "no data set 'imagenet': there are digits, glyphs. Files are given by their directory"),
        ("glyph", r"no data set 'glyph': did you mean glyphs\? Files are given"),
        (
            "mnist",
            r"no data set 'mnist': bring the files of MNIST from http://yann.* and give their directory, like ./mnist",
        ),
        ("cifar10", "no data set 'cifar10': bring the files of CIFAR-10 from .* give their directory"),
    ],
)
def test_an_unknown_name_says_how_files_are_given(name, complaint):
    with pytest.raises(LookupError, match=complaint):
        data.load(name, seed=0)


# glyphs


def test_equal_seeds_draw_equal_glyphs_to_the_byte_and_others_do_not():
    first, again, other = (data.load("glyphs:1000", seed=seed) for seed in (0, 0, 1))
    assert first.sha256 == again.sha256
    assert first.train_pixels.tobytes() == again.train_pixels.tobytes()
    assert first.test_pixels.tobytes() == again.test_pixels.tobytes()
    assert first.sha256 != other.sha256


@settings(deadline=None, max_examples=10)
@given(samples=st.integers(1, 3000), seed=st.integers(0, 2**32))
def test_as_many_glyphs_are_drawn_as_are_asked_for_and_as_many_of_each(samples, seed):
    glyphs = data.load("glyphs", seed=seed, samples=samples)
    assert glyphs.train_pixels.shape == (samples, 28 * 28)
    assert glyphs.shape == (28, 28, 1)
    assert glyphs.train_pixels.dtype == np.uint8
    assert len(glyphs.test_labels) == round(samples * 0.2)
    for labels in (glyphs.train_labels, glyphs.test_labels):
        counts = np.bincount(labels, minlength=47)
        assert counts.max() - counts.min() <= 1


def test_glyphs_have_the_classes_of_emnist_balanced():
    assert "".join(_glyphs.CLASSES) == "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt"
    assert data.load("glyphs:47", seed=0).class_names == _published.EMNIST_CLASSES["balanced"]


def test_test_fonts_are_held_out_of_training():
    fonts = data.load("glyphs:47", seed=0).described()["fonts"]
    assert fonts["train"]
    assert fonts["test"]
    assert not set(fonts["train"]) & set(fonts["test"])
    files = {
        kind: {face for faces in kept.values() for face in faces}
        for kind, kept in vars(_fonts).items()
        if kind in ("TRAINING", "TEST")
    }
    assert not files["TRAINING"] & files["TEST"]
    # Not in name alone: no letter of the test fonts is a letter of the training fonts.
    train, test = (_fonts.masters(tuple(fonts[part]), "AQgs") for part in ("train", "test"))
    apart = np.abs(train[:, None] - test[None]).mean(axis=(3, 4))
    assert apart.min() > 0.05


def test_each_letter_of_each_font_is_drawn_and_differs_from_every_other_font():
    for families in (_fonts.TRAINING, _fonts.TEST):
        masters = _fonts.masters(tuple(families), "AQ8g")
        ink = (masters > 0).sum(axis=(2, 3))
        # A letter covers some of the 20 by 20 pixels at two points a pixel, and never all of them.
        assert ink.min() > 100
        assert ink.max() < 40 * 40
        flat = masters.reshape(len(masters), -1)
        assert len(np.unique(flat, axis=0)) == len(flat)


def test_glyphs_can_be_learned_and_are_not_trivial():
    neighbours = pytest.importorskip("sklearn.neighbors")
    glyphs = data.load("glyphs:4700", seed=0)
    model = neighbours.KNeighborsClassifier(1).fit(glyphs.train_pixels.astype(np.float32), glyphs.train_labels)
    accuracy = model.score(glyphs.test_pixels.astype(np.float32), glyphs.test_labels)
    assert 0.35 < accuracy < 0.9


def test_a_font_that_is_not_there_is_named(tmp_path, monkeypatch):
    matplotlib = pytest.importorskip("matplotlib")
    monkeypatch.setattr(matplotlib, "get_data_path", lambda: str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"matplotlib's fonts lack .*cmr10.ttf: install matplotlib again"):
        _fonts._face("cmr10", "A")


# IDX


@given(
    array=st.sampled_from([1, 3]).flatmap(lambda axes: arrays.arrays(np.uint8, st.tuples(*[st.integers(1, 9)] * axes))),
    packed=st.booleans(),
)
def test_an_idx_array_comes_back_as_it_was(array, packed):
    content = gzip.compress(idx(array)) if packed else idx(array)
    np.testing.assert_array_equal(_idx.array(content, axes=array.ndim, name="it"), array)


@given(
    content=st.binary(max_size=60) | st.binary(max_size=40).map(lambda tail: b"\0\0\x08\x03" + tail),
    packed=st.booleans(),
)
def test_any_bytes_are_an_array_or_one_line(content, packed):
    complaint = "it is an array"
    try:
        found = _idx.array(gzip.compress(content) if packed else content, axes=3, name="it")
        assert idx(found) == content
    except ValueError as error:
        complaint = str(error)
    assert complaint.startswith("it ")
    assert "\n" not in complaint


@given(cut=st.integers(0, 200), packed=st.booleans())
def test_a_file_that_is_cut_off_anywhere_is_refused(cut, packed):
    content = idx(pictures(3, shape=(5, 5))[0])
    content = gzip.compress(content) if packed else content
    with pytest.raises(ValueError, match=r"cut off|no IDX file"):
        _idx.array(content[: min(cut, len(content) - 1)], axes=3, name="it")


@pytest.mark.parametrize("packed", [False, True])
def test_a_header_that_lies_makes_nothing_large(packed):
    import tracemalloc

    content = struct.pack(">HBBIII", 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1) + bytes(1000)
    content = gzip.compress(content) if packed else content
    tracemalloc.start()
    with pytest.raises(
        ValueError, match="is cut off: its header announces 79228162458924105385300197375 bytes of images"
    ):
        _idx.array(content, axes=3, name="it")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6


def test_a_gzip_file_that_unfolds_without_end_is_read_no_further_than_its_header_says():
    import tracemalloc

    bomb = gzip.compress(idx(np.zeros((10, 4, 4))) + bytes(200_000_000))
    tracemalloc.start()
    with pytest.raises(ValueError, match="goes on behind the 160 bytes"):
        _idx.array(bomb, axes=3, name="it")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("joint", ["-", "."])
def test_a_directory_of_idx_files_keeps_its_own_division(mnist, packed, joint):
    plain = data.load(str(mnist), seed=0)
    for path in list(mnist.glob("*ubyte")):
        name = path.name.replace("-idx", f"{joint}idx")
        content = path.read_bytes()
        path.unlink()
        (mnist / (name + ".gz" * packed)).write_bytes(gzip.compress(content) if packed else content)
    sums(mnist)
    found = data.load(str(mnist), seed=0)
    assert (found.shape, found.classes, found.levels, found.name) == ((28, 28, 1), 10, 255, mnist.name)
    assert (len(found.train_labels), len(found.test_labels)) == (40, 20)
    # What is inside counts, not how it is packed.
    assert found.sha256 == plain.sha256
    assert set(found.described()["files"]) == {path.name for path in mnist.iterdir()} - {"SHA256SUMS"}
    for pixels, labels, count in (
        (found.train_pixels, found.train_labels, 40),
        (found.test_pixels, found.test_labels, 20),
    ):
        images, wanted = pictures(count, seed=count)
        held = {picture.tobytes(): label for picture, label in zip(images, wanted, strict=True)}
        assert [held[picture.tobytes()] for picture in pixels] == labels.tolist()


def test_the_seed_orders_the_files_pictures_and_changes_nothing_else(mnist):
    first, again, other = (data.load(str(mnist), seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.train_pixels, again.train_pixels)
    assert not np.array_equal(first.train_pixels, other.train_pixels)
    assert sorted(map(bytes, first.train_pixels)) == sorted(map(bytes, other.train_pixels))
    assert first.described() == other.described()
    assert len(data.load(str(mnist), seed=0, samples=10).train_labels) == 10
    with pytest.raises(ValueError, match="has 40 training samples, not 41"):
        data.load(str(mnist), seed=0, samples=41)


def test_emnist_stands_upright_and_its_letters_begin_at_a(tmp_path):
    for division, first in (("letters", 1), ("balanced", 0)):
        for part, count in (("train", 31), ("test", 30)):
            images, labels = pictures(count, classes=26)
            (tmp_path / f"emnist-{division}-{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
            (tmp_path / f"emnist-{division}-{part}-labels-idx1-ubyte.gz").write_bytes(
                gzip.compress(idx(labels + first))
            )
    sums(tmp_path)
    with pytest.raises(
        ValueError, match=r"holds several sets of pictures \(emnist-balanced, emnist-letters\): give one"
    ):
        data.load(str(tmp_path), seed=0)
    letters = data.load(f"{tmp_path}/emnist-letters", seed=0)
    assert letters.name == "emnist-letters"
    assert letters.class_names == tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    images, labels = pictures(30, classes=26)
    held = {picture.T.tobytes(): label for picture, label in zip(images, labels, strict=True)}
    assert [held[picture.tobytes()] for picture in letters.test_pixels] == letters.test_labels.tolist()
    assert data.load(f"{tmp_path}/emnist-balanced", seed=0).classes == 47


def test_files_are_found_in_the_folders_that_archives_unpack_to(mnist):
    plain = data.load(str(mnist), seed=0).sha256
    (mnist / "raw").mkdir()
    for path in [path for path in mnist.iterdir() if path.is_file()]:
        path.rename(mnist / "raw" / path.name)
    assert data.load(str(mnist), seed=0).sha256 == plain


def swap(folder, one, other):
    content = (folder / one).read_bytes()
    (folder / one).write_bytes((folder / other).read_bytes())
    (folder / other).write_bytes(content)


DAMAGE = {
    "labels in place of images": (
        lambda d: swap(d, "train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
        "train-images-idx3-ubyte holds labels where images are wanted: the files are swapped; rename them",
    ),
    "train and test images swapped": (
        lambda d: swap(d, "train-images-idx3-ubyte", "t10k-images-idx3-ubyte"),
        "train-images-idx3-ubyte has 20 images and train-labels-idx1-ubyte 40 labels: .*bring those that belong",
    ),
    "train and test swapped whole": (
        lambda d: [swap(d, f"train-{kind}-ubyte", f"t10k-{kind}-ubyte") for kind in ("images-idx3", "labels-idx1")],
        "train-images-idx3-ubyte has the checksum of t10k-images-idx3-ubyte in .*SHA256SUMS: the files are swapped",
    ),
    "cut off": (
        lambda d: (d / "t10k-images-idx3-ubyte").write_bytes((d / "t10k-images-idx3-ubyte").read_bytes()[:-5]),
        "t10k-images-idx3-ubyte is cut off: its header announces 15680 bytes of images, 15675 are there; copy it again",
    ),
    "no IDX file": (
        lambda d: (d / "t10k-images-idx3-ubyte").write_bytes(b"<html>404</html>"),
        "t10k-images-idx3-ubyte is no IDX file: it begins with 3c68746d; copy it again",
    ),
    "numbers of another type": (
        lambda d: (d / "t10k-labels-idx1-ubyte").write_bytes(struct.pack(">HBBI", 0, 0x0C, 1, 2) + bytes(8)),
        "t10k-labels-idx1-ubyte holds numbers of type 0x0c, not unsigned bytes",
    ),
    "too many axes": (
        lambda d: (d / "t10k-labels-idx1-ubyte").write_bytes(idx(np.zeros((2, 2)))),
        "t10k-labels-idx1-ubyte holds an array of 2 axes where labels are wanted",
    ),
    "empty": (
        lambda d: (d / "t10k-labels-idx1-ubyte").write_bytes(idx(np.zeros(0))),
        "t10k-labels-idx1-ubyte holds no labels: copy it again",
    ),
    "a pixel changed": (
        lambda d: (d / "train-images-idx3-ubyte").write_bytes(idx(pictures(40, seed=7)[0])),
        "train-images-idx3-ubyte is damaged or another set's: its checksum is not the one in .*SHA256SUMS; copy",
    ),
    "not vouched for": (
        lambda d: (d / "SHA256SUMS").write_text((d / "SHA256SUMS").read_text().splitlines()[0] + "\n"),
        "SHA256SUMS does not list train-images-idx3-ubyte: add it with `sha256sum train-images",
    ),
    "no checksums": (
        lambda d: (d / "SHA256SUMS").unlink(),
        "train-images-idx3-ubyte is damaged or another set's: .* none of the published ones; .*SHA256SUMS beside it",
    ),
    "checksums of another program": (
        lambda d: (d / "SHA256SUMS").write_text("MD5 (train) = 00\n"),
        "SHA256SUMS has a line that is none of sha256sum's: 'MD5 .*write it with sha256sum",
    ),
    "empty checksums": (lambda d: (d / "SHA256SUMS").write_text(""), "SHA256SUMS is empty: write it with `sha256sum"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_directory_is_refused_in_one_line(mnist, damage):
    harm, complaint = DAMAGE[damage]
    before = sorted(mnist.iterdir())
    harm(mnist)
    with pytest.raises(ValueError, match=complaint) as caught:
        data.load(str(mnist), seed=0)
    assert "\n" not in str(caught.value)
    assert set(before) >= set(mnist.iterdir())


VOUCHED = {
    "a label that training lacks": (
        lambda d: (d / "t10k-labels-idx1-ubyte").write_bytes(idx(np.arange(20))),
        "t10k-labels-idx1-ubyte has a label outside its 10 classes at place 10: it is damaged or of another set",
    ),
    "pictures of another size": (
        lambda d: (d / "t10k-images-idx3-ubyte").write_bytes(idx(pictures(20, shape=(8, 8))[0])),
        "t10k-images-idx3-ubyte does not fit its training set: pictures are 28 by 28 and 8 by 8; bring one set",
    ),
}


@pytest.mark.parametrize("damage", VOUCHED)
def test_files_that_do_not_fit_each_other_are_refused_though_they_are_vouched_for(mnist, damage):
    harm, complaint = VOUCHED[damage]
    harm(mnist)
    sums(mnist)
    with pytest.raises(ValueError, match=complaint):
        data.load(str(mnist), seed=0)


def test_labels_outside_a_published_division_are_refused(tmp_path):
    for part in ("train", "test"):
        images, labels = pictures(30, classes=30)
        (tmp_path / f"emnist-letters-{part}-images-idx3-ubyte").write_bytes(idx(images))
        (tmp_path / f"emnist-letters-{part}-labels-idx1-ubyte").write_bytes(idx(labels))
    sums(tmp_path)
    with pytest.raises(ValueError, match="labels-idx1-ubyte has a label outside its 26 classes at place 0"):
        data.load(str(tmp_path), seed=0)


def test_missing_files_are_named_with_the_page_that_has_them(mnist, tmp_path_factory):
    (mnist / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks t10k-labels-idx1-ubyte: .*MNIST \(http://yann.lecun.com/exdb"):
        data.load(str(mnist), seed=0)
    empty = tmp_path_factory.mktemp("empty")
    for where in (empty, empty / "nowhere", empty / "no" / "where"):
        with pytest.raises(FileNotFoundError, match=f"no set of pictures in {where}: wanted are .*") as caught:
            data.load(str(where), seed=0)
        for published in _published.PUBLISHED.values():
            assert published.page in str(caught.value)
        for name in (*_published.IDX_FILES, "data_batch_1", "nothing is downloaded"):
            assert name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_lacking_cifar_file_is_named_with_its_page(tmp_path):
    write_cifar(tmp_path)
    (tmp_path / "data_batch_3.bin").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"lacks data_batch_3.bin: .*CIFAR-10 \(https://www.cs.toronto.edu/~kriz"
    ):
        data.load(str(tmp_path), seed=0)


# Published checksums. The real sets are not here: what is checked is that their checksums are found, and found out.


def test_published_checksums_are_whole_and_each_is_one_files():
    owners = [checksum for published in _published.PUBLISHED.values() for checksum in published.checksums]
    assert len(owners) == len(set(owners)) == 4 * (2 + 2 + 1 + 6) + 12 + 4
    assert all(len(checksum) in (32, 64) and set(checksum) <= set("0123456789abcdef") for checksum in owners)
    assert _published.owner("f68b3c2dcbeaaa9fbdd348bbdeb94873") == ("mnist", "train-images-idx3-ubyte")
    assert {len(set(published.class_names)) for published in _published.PUBLISHED.values()} == {10, 26, 47, 62, 100}


@pytest.fixture
def published(mnist, monkeypatch):
    """A directory whose files are those of a set that the tests publish, gzipped, without checksums of its own."""
    (mnist / "SHA256SUMS").unlink()
    checksums = {}
    for path in list(mnist.iterdir()):
        packed = gzip.compress(path.read_bytes(), mtime=0)
        checksums[hashlib.md5(packed).hexdigest()] = path.name
        checksums[hashlib.md5(path.read_bytes()).hexdigest()] = path.name
        (mnist / f"{path.name}.gz").write_bytes(packed)
        path.unlink()
    names = tuple("abcdefghij")
    made = _published.Published(title="Made", page="nowhere", class_names=names, checksums=checksums)
    monkeypatch.setattr(_published, "PUBLISHED", {**_published.PUBLISHED, "made": made})
    return mnist


def test_a_published_set_needs_no_checksums_of_its_own_and_has_its_name(published):
    found = data.load(str(published), seed=0)
    assert (found.name, found.class_names) == ("made", tuple("abcdefghij"))


def test_a_published_set_that_was_packed_anew_is_known_by_what_is_inside(published):
    for path in published.iterdir():
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), compresslevel=1, mtime=99))
    assert data.load(str(published), seed=0).name == "made"


def test_a_published_set_whose_halves_are_swapped_is_refused(published):
    for kind in ("images-idx3-ubyte.gz", "labels-idx1-ubyte.gz"):
        swap(published, f"train-{kind}", f"t10k-{kind}")
    with pytest.raises(
        ValueError, match=r"train-images-idx3-ubyte.gz is Made's t10k-images-idx3-ubyte: the files are swapped"
    ):
        data.load(str(published), seed=0)


def test_files_of_two_published_sets_are_not_mixed(published, monkeypatch):
    labels = pictures(40)[1]
    (published / "train-labels-idx1-ubyte.gz").write_bytes(idx(labels[::-1]))
    owner = {hashlib.md5(idx(labels[::-1])).hexdigest(): "train-labels-idx1-ubyte"}
    other = _published.Published(title="Other", page="nowhere", class_names=("a",), checksums=owner)
    monkeypatch.setattr(_published, "PUBLISHED", {**_published.PUBLISHED, "other": other})
    with pytest.raises(ValueError, match=r"mixes the files of several sets: .*labels-idx1-ubyte.gz is other's"):
        data.load(str(published), seed=0)


# CIFAR


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_cifar_is_the_same_set_in_every_version(tmp_path, tmp_path_factory, write):
    found = data.load(str(write_cifar(tmp_path, write)), seed=0)
    assert (found.shape, found.classes, found.features) == ((32, 32, 3), 10, 3072)
    assert (len(found.train_labels), len(found.test_labels)) == (20, 4)
    planes, labels = cifar_parts()[5]
    upright = planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    held = {picture.tobytes(): label for picture, label in zip(upright, labels, strict=True)}
    assert [held[picture.tobytes()] for picture in found.test_pixels] == found.test_labels.tolist()
    binary = data.load(str(write_cifar(tmp_path_factory.mktemp("binary"))), seed=0)
    assert found.sha256 == binary.sha256
    np.testing.assert_array_equal(found.train_pixels, binary.train_pixels)
    np.testing.assert_array_equal(found.train_labels, binary.train_labels)


def test_cifar_100_takes_the_fine_label_of_both_versions(tmp_path):
    for folder in ("binary", "python"):
        (tmp_path / folder).mkdir()
    for part, count in (("test", 29), ("train", 30)):
        planes, labels = pictures(count, classes=100, shape=(3 * SIDE,))
        labels = (labels + 50) % 100
        pair = np.stack([labels // 5, labels], axis=1).astype(np.uint8)
        (tmp_path / "binary" / f"{part}.bin").write_bytes(np.concatenate([pair, planes], axis=1).tobytes())
        (tmp_path / "python" / part).write_bytes(batch_of(labels, planes, key="fine_labels"))
    found = []
    for folder in ("binary", "python"):
        sums(tmp_path / folder)
        found.append(data.load(str(tmp_path / folder), seed=0))
    assert found[0].sha256 == found[1].sha256
    assert found[0].classes == 100
    assert sorted(found[0].train_labels) == sorted(labels)


@settings(deadline=None, max_examples=50)
@given(
    value=st.recursive(
        st.integers(-(2**31), 2**40) | st.binary() | st.text() | st.none() | st.booleans(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.binary(min_size=1), inner),
        max_leaves=20,
    ),
    protocol=st.integers(3, 5),
)
def test_plain_values_come_out_of_a_pickle_as_they_went_in(value, protocol):
    assert _literal.read(pickle.dumps(value, protocol=protocol)) == value


class Hostile:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


class HostileBuild:
    def __reduce__(self):
        return np.ndarray, ((2, 2), "u1")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_hostile_batch_is_refused_and_not_run(tmp_path, protocol):
    write_cifar(tmp_path, WRITERS["numpy's array, protocol 2"])
    canary = tmp_path / "run"
    (tmp_path / "data_batch_2").write_bytes(pickle.dumps({b"data": Hostile(canary), b"labels": []}, protocol=protocol))
    sums(tmp_path)
    complaint = (
        "refused, and nothing of it was run: it asks for posix.system" if protocol >= 2 else "no batch of cifar-10"
    )
    with pytest.raises(ValueError, match=f"data_batch_2 is {complaint}") as caught:
        data.load(str(tmp_path), seed=0)
    assert "\n" not in str(caught.value)
    assert not canary.exists()
    # The same bytes, run: the canary is real.
    pickle.loads((tmp_path / "data_batch_2").read_bytes())
    assert canary.exists()


@pytest.mark.parametrize(
    "held",
    [
        pytest.param({b"data": HostileBuild(), b"labels": []}, id="numpy called otherwise"),
        pytest.param({b"data": np.zeros((2, 3072)), b"labels": [0, 0]}, id="floats"),
        pytest.param({b"data": np.zeros((3072, 2), np.uint8).T, b"labels": [0, 0]}, id="by columns"),
        pytest.param({b"data": {1, 2}, b"labels": []}, id="a set of another class"),
        pytest.param({b"data": 2**70000, b"labels": []}, id="a number without end"),
    ],
)
def test_a_pickle_of_anything_else_is_refused(held):
    with pytest.raises(_literal.RefusedError):
        _literal.read(pickle.dumps(held, protocol=2))


@settings(deadline=None)
@given(cut=st.integers(0, 10**6), flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4))
def test_a_damaged_batch_is_a_value_or_one_value_error(cut, flips):
    content = bytearray(batch_of([1, 2], np.zeros((2, 3072), np.uint8)))
    for place, byte in flips:
        # The names, numbers and opcodes are at both ends, the pixels between them.
        content[(place % 300) * (1 if place % 2 else -1)] = byte
    complaint = "it is a value"
    try:
        _literal.read(bytes(content[: cut % (2 * len(content))]))
    except ValueError as error:
        complaint = str(error)
    assert complaint.startswith("it ")


PLANES = np.zeros((4, 3072), np.uint8)
BATCHES = {
    "a label too high": (batch_of([0, 1, 2, 10], PLANES), "has label 10 at picture 3, outside 0 … 9: it is damaged"),
    "a negative label": (batch_of([0, 1, 2, -1], PLANES), "its labels are no list of classes; copy it again"),
    "labels of another kind": (batch_of([0, 1, 2, 3], PLANES, key="names"), "it lacks data or labels; copy it again"),
    "a label missing": (batch_of([0, 1, 2], PLANES), "has 4 pictures and 3 labels: it is damaged; copy it again"),
    "nothing": (batch_of([], b"", protocol=4), "holds no pictures: copy it again"),
    "pictures of another size": (batch_of([0], np.zeros((1, 784), np.uint8)), "its data are no pictures of 3072 bytes"),
    "bytes of another size": (batch_of([0], bytes(3071)), "is cut off or of another set: its data are no pictures"),
    "text": (b"data batch\n", "is no batch of cifar-10: it is no pickle of protocol 2 or later; copy it again"),
    "cut off": (batch_of([0, 1, 2, 3], PLANES)[:-900], "is no batch of cifar-10: it is cut off or damaged"),
    "not a dictionary": (pickle.dumps([1, 2], protocol=2), "it lacks data or labels"),
}


@pytest.mark.parametrize("case", BATCHES)
def test_a_batch_that_does_not_fit_is_refused_in_one_line(tmp_path, case):
    write_cifar(tmp_path, WRITERS["numpy's array, protocol 2"])
    content, complaint = BATCHES[case]
    (tmp_path / "test_batch").write_bytes(content)
    sums(tmp_path)
    with pytest.raises(ValueError, match=f"test_batch.*{complaint}") as caught:
        data.load(str(tmp_path), seed=0)
    assert "\n" not in str(caught.value)


def test_an_array_that_lies_about_its_shape_is_refused(tmp_path):
    write_cifar(tmp_path, WRITERS["Python 2"])
    content = bytearray(python_2_batch([1, 2, 3, 4], PLANES))
    place = content.index(b"M" + struct.pack("<H", 4))
    content[place + 1 : place + 3] = b"\xff\xff"
    (tmp_path / "test_batch").write_bytes(content)
    sums(tmp_path)
    with pytest.raises(ValueError, match="test_batch is damaged: its data are not of the shape that it says"):
        data.load(str(tmp_path), seed=0)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (bytes(3073 * 4 - 1), "its 12291 bytes are no multiple of a picture's 3073"),
        (b"", "holds no pictures"),
        (b"\x0b" + bytes(3072), "has label 11 at picture 0, outside 0 … 9"),
    ],
)
def test_a_binary_batch_that_does_not_fit_is_refused(tmp_path, content, complaint):
    write_cifar(tmp_path)
    (tmp_path / "data_batch_5.bin").write_bytes(content)
    with pytest.raises(ValueError, match=f"data_batch_5.bin.*{complaint}"):
        data.load(str(tmp_path), seed=0)


def test_training_and_test_batches_that_are_swapped_are_told_by_their_checksum(tmp_path):
    write_cifar(tmp_path)
    swap(tmp_path, "data_batch_1.bin", "test_batch.bin")
    with pytest.raises(
        ValueError, match=r"data_batch_1.bin has the checksum of test_batch.bin .* swapped; rename them"
    ):
        data.load(str(tmp_path), seed=0)


def test_two_versions_in_one_directory_are_told_apart(tmp_path):
    write_cifar(tmp_path)
    write_cifar(tmp_path, WRITERS["Python 2"])
    with pytest.raises(ValueError, match=r"several sets of pictures \(cifar-10-batches-bin, cifar-10-batches-py\)"):
        data.load(str(tmp_path), seed=0)
    assert data.load(f"{tmp_path}/cifar-10-batches-py", seed=0).features == 3072
