"""Makes the files of data that the tests read, with the libraries that people make them with: pandas, NumPy and Pillow.

    python tests/files/make.py      needs numpy, pandas, pyarrow, pillow, scikit-learn"""
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_diabetes, load_digits, load_iris

here = Path(__file__).parent

iris = load_iris(as_frame=True)
flowers = iris.frame.drop(columns="target")
flowers["species"] = [iris.target_names[k] for k in iris.target]
flowers.to_csv(here / "iris.csv", index=False)
flowers.to_parquet(here / "iris.parquet", index=False)

x, y = load_diabetes(return_X_y=True)
np.savez_compressed(here / "diabetes.npz", x=x.astype(np.float32), y=y, names=np.array(load_diabetes().feature_names))

images, classes = load_digits(return_X_y=True)
for split, numbers in [("train", range(40)), ("test", range(40, 60))]:
    for k in numbers:
        folder = here / "digits" / split / str(classes[k])
        folder.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray((images[k].reshape(8, 8) * 15.9).astype(np.uint8))
        picture.save(folder / (f"{k}.jpg" if k % 10 == 7 else f"{k}.png"))
