"""Published sets of pictures: their files, their checksums, and the pages that they are found on.

Checksums of 32 digits are MD5, of 64 SHA-256. Where they were read:

    compressed IDX files          zalandoresearch/fashion-mnist README.md; pytorch/vision torchvision/datasets/mnist.py
    uncompressed IDX files        many lists that agree
    EMNIST, compressed            the script `mnists` of C. Olding; independent lists have the same for letters and the
                                  training files of balanced, digits and mnist; the others are in this list alone
    CIFAR, python version         pytorch/vision torchvision/datasets/cifar.py
    CIFAR, binary version         rai-project/dldataset vision/cifar10.go, cifar100.go; three lists agree on CIFAR-10
"""

import string
from collections.abc import Mapping
from dataclasses import dataclass

SUMS = "SHA256SUMS"
"""The file of a directory that says its checksums itself, as `sha256sum` writes and checks it."""

MERGED = tuple(string.digits + string.ascii_uppercase + "abdefghnqrt")
"""The 47 classes of EMNIST balanced: small letters that look like their capitals are with them."""

_DIGITS = tuple(string.digits)
_CIFAR_100 = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant
flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree
motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate
poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider
squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle
wardrobe whale willow_tree wolf woman worm
"""
_CIFAR = "https://www.cs.toronto.edu/~kriz/cifar.html"
_EMNIST = "https://www.nist.gov/itl/products-and-services/emnist-dataset"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A published set.

    Attributes:
        title: what its makers call it.
        page: where it is published.
        class_names: by label.
        checksums: the file of each known checksum, without `.gz`.
    """

    title: str
    page: str
    class_names: tuple[str, ...]
    checksums: Mapping[str, str]


IDX_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")

EMNIST_CLASSES: Mapping[str, tuple[str, ...]] = {
    "balanced": MERGED,
    "bymerge": MERGED,
    "byclass": tuple(string.digits + string.ascii_uppercase + string.ascii_lowercase),
    "letters": tuple(string.ascii_uppercase),
    "digits": _DIGITS,
    "mnist": _DIGITS,
}
"""The class names of each division of EMNIST (its mapping files). Labels of `letters` begin at 1 in its files."""


def _of(files: tuple[str, ...], checksums: str) -> dict[str, str]:
    """Checksums, as many rows as are known, each in the order of the files."""
    found = checksums.split()
    return {checksum: files[place % len(files)] for place, checksum in enumerate(found)}


def _emnist(division: str, checksums: str) -> Published:
    files = tuple(
        f"emnist-{division}-{part}-{kind}"
        for part in ("train", "test")
        for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")
    )
    return Published(
        title=f"EMNIST {division}",
        page=_EMNIST,
        class_names=EMNIST_CLASSES[division],
        checksums=_of(files, checksums),
    )


PUBLISHED: Mapping[str, Published] = {
    "mnist": Published(
        title="MNIST",
        page="http://yann.lecun.com/exdb/mnist/",
        class_names=_DIGITS,
        checksums=_of(
            IDX_FILES,
            """
            f68b3c2dcbeaaa9fbdd348bbdeb94873 d53e105ee54ea40749a09fcbcd1e9432
            9fb629c4189551a2d022fa330f9573f3 ec29112dd5afa0611ce80d1b7f02629c
            6bbc9ace898e44ae57da46a324031adb a25bea736e30d166cdddb491f175f624
            2646ac647ad5339dbf082846283269ea 27ae3e4e09519cfbb04c329615203637
            """,
        ),
    ),
    "fashion-mnist": Published(
        title="Fashion-MNIST",
        page="https://github.com/zalandoresearch/fashion-mnist",
        class_names=(
            *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
            *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        ),
        checksums=_of(
            IDX_FILES,
            """
            8d4fb7e6c68d591d4c3dfef9ec88bf0d 25c81989df183df01b3e8a0aad5dffbe
            bef4ecab320f06d8554ea6380940ec79 bb300cfdad3c16e7a12a480ee83cd310
            f4a8712d7a061bf5bd6d2ca38dc4d50a 9018921c3c673c538a1fc5bad174d6f9
            8181f5470baa50b63fa0f6fddb340f0a 15d484375f8d13e6eb1aabb0c3f46965
            """,
        ),
    ),
    "kmnist": Published(
        title="KMNIST",
        page="https://github.com/rois-codh/kmnist",
        class_names=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        checksums=_of(
            IDX_FILES,
            """
            bdb82020997e1d708af4cf47b453dcf7 e144d726b3acfaa3e44228e80efcd344
            5c965bf0a639b31b8f53240b1b52f4d7 7320c461ea6c1c855c0b718fb2a4b134
            """,
        ),
    ),
    "emnist-balanced": _emnist(
        "balanced",
        """
        74295e75e4e9fa2c102147460ee7eb763653d5132d883a84fb88932bfb8d2db4
        b46d41e5156a0a8aaaa4d18979fdd1588850fa8571018acffd5d93b325a7d6ed
        117fc12b015e37ea98bfb2cbba3f77c3782c056cdbd219b87abfc8661d7135db
        a67cac948379b67270b9a4d0a01c8ec661598accf2f2b1964340b7c83cb175cd
        """,
    ),
    "emnist-byclass": _emnist(
        "byclass",
        """
        9e21987f03a6eb8b870187e785883ddad96947299587908f1a7ec2ca0f4be5f0
        f7ef403d48dc18a89dae0d83d11ee69cecb6e1c12c3a961d03712e495c02a8fa
        5ec835bd5d5b1a66378a132e727fef20fe994b3cc666899befcca5ac766f50cd
        501e305eeeacb093b162592d80e8a2632040872360fa6d85cfcb2200d91ca92a
        """,
    ),
    "emnist-bymerge": _emnist(
        "bymerge",
        """
        39bf8c68037dad40db35348895f7e4e056e8c0a005ab78869c9fbc2c96e947be
        2c47293b9e62d6abf6ad05fbf67e40baa32adfd380b8d7b44dcc35534b64e1f1
        5e5815ec1b522089134435f7c55e75a00960b58414793593ffff23efc0821683
        8bda1516255683ba9071e141947ca0c91a911176065cdd6259b0b4d8dc5b5f35
        """,
    ),
    "emnist-letters": _emnist(
        "letters",
        """
        6288f418a917e007bf5fddb823a2dc7a5c6a35031401b93292a539cb12bd881f
        9759af91ea6bccdf07a6040fd085861f2ec88e37f7c3f5760f6feb57106fbe5c
        50f0e93d75b99b463e9760b8345866f22587fa2c2fba472730a5ba09c693412d
        924955c31fe7fd809b7303b5c0141282955f4b8390c74cdfd5d80435e0f4b4cb
        """,
    ),
    "emnist-digits": _emnist(
        "digits",
        """
        f7c95004d14d81af89522e67d8f0c781dfb3bd544181c81bfe1eb6b41c35b726
        6638a6ff5fe2eefd9cca2471995b46c82986b8e4b2a70d2f5ce8e05d7edb319e
        20ebe43509264f7639d37c835a3f0b009e90b29e00a099a03101abe1644a3f63
        bad1834c45d5988e270b99d43b13edc3fd898f658ffbc2caf2846ef27f7b05b0
        """,
    ),
    "emnist-mnist": _emnist(
        "mnist",
        """
        5f9942f441031c0f1f2e4d162059fd6e19ea808b34c328b6d16cab0ed24c78f2
        00c6d3c2342fdffb1711e0b5656cac4ce5862d2826399d383a9bac07d612e9f8
        b25640fa9e356c618132f5df347c95ef5bae6d9c2596be1de40f7e0ae1c3eac6
        bcc5385d38f083dba046f5f756e99b32f5ea7fad122c6243c71c2239873065ca
        """,
    ),
    "cifar-10": Published(
        title="CIFAR-10",
        page=_CIFAR,
        class_names=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        checksums={
            "c99cafc152244af753f735de768cd75f": "data_batch_1",
            "d4bba439e000b95fd0a9bffe97cbabec": "data_batch_2",
            "54ebc095f3ab1f0389bbae665268c751": "data_batch_3",
            "634d18415352ddfa80567beed471001a": "data_batch_4",
            "482c414d41f54cd18b22e5b47cb7c3cb": "data_batch_5",
            "40351d587109b95175f43aff81a1287e": "test_batch",
            "5dd7e06a14cb22eb9f671a540d1b7c25": "data_batch_1.bin",
            "5ea93a67294ea407fff1d09f752e9692": "data_batch_2.bin",
            "942cd6a4bcdd0dd3c604fbe906cb4421": "data_batch_3.bin",
            "ae636b3ba5c66a11e91e8cb52e771fcb": "data_batch_4.bin",
            "53f37980c15c3d472c316c40844f3f0d": "data_batch_5.bin",
            "803d5f7f4d78ea53de84dbe85f74fb6d": "test_batch.bin",
        },
    ),
    "cifar-100": Published(
        title="CIFAR-100",
        page=_CIFAR,
        class_names=tuple(_CIFAR_100.split()),
        checksums={
            "16019d7e3df5f24257cddd939b257f8d": "train",
            "f0ef6b0ae62326f3e7ffdfab6717acfc": "test",
            "6172c7755cfe09b2fe270c85cebc1b15": "train.bin",
            "4499cfba6c016c1be1438163640a0898": "test.bin",
        },
    ),
}


def owner(checksum: str) -> tuple[str, str] | None:
    """The name of the set and the file that a checksum belongs to."""
    for name, published in PUBLISHED.items():
        if checksum in published.checksums:
            return name, published.checksums[checksum]
    return None
