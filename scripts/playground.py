"""Make the two networks of the page on which one draws a digit.

    python -m scripts.playground

trains LeNet-5, dense and small, on the MNIST that ships with the library, and writes
`assets/playground/networks.js`, which the page loads when it is asked to, and
`benchmarks/results/playground.json`: what they cost, digits to choose from, and what Keras
answers to the first test images. It takes ten minutes on one core.

    python -m scripts.playground --picture

takes a picture of the built page, for the front page and for paper, by Chromium.
"""

import argparse
import base64
import gzip
import json
import shutil
import tempfile
from io import BytesIO
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from benchmarks.record import RESULTS, environment, today
from benchmarks.training import Data, lenet5, train_plainly, train_smaller
from nestrade_lib import Budget, count_costs, export, load_mnist
from scripts.notebooks import ROOT

NETWORKS = ROOT / "assets" / "playground" / "networks.js"
RECORD = RESULTS / "playground.json"
PICTURE = ROOT / "assets" / "playground.png"
PAGE = ROOT / "_build" / "html" / "appendix" / "playground.html"
SEVEN = ((0.3, 0.22), (0.7, 0.2), (0.46, 0.8))  # shares of the board
SEED, EPOCHS, IMAGES = 5, 10, 100
BUDGET = Budget(macs=0.067, params=0.02)


def train(data):
    """Return both networks, by their names on the page."""
    ways = {
        "dense": lambda: train_plainly(lenet5(), data, EPOCHS),
        "small": lambda: train_smaller(lenet5(), data, EPOCHS, BUDGET),
    }
    networks = {}
    for name, way in ways.items():
        keras.utils.set_random_seed(SEED)
        networks[name] = rounded(way())
    return networks


def rounded(network):
    """Round weights to half precision: the files stay in float32 and pack to 60 %."""
    network.set_weights(
        [w.astype("float16").astype("float32") for w in network.get_weights()]
    )
    return network


def file_of(network):
    """The bytes of the network as an ONNX file."""
    with tempfile.TemporaryDirectory() as folder:
        return export(network, Path(folder, "network.onnx"), to="onnx").read_bytes()


def packed(content):
    """Bytes as text that a script can hold."""
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()


def figures(network, data, file):
    """What the page says of a network, and its answers (logits) to the first images."""
    x, y = data.test
    logits = network.predict(x, batch_size=1000, verbose=0)
    costs = count_costs(network)
    return {
        "macs": costs.macs,
        "params": costs.params,
        "file_bytes": len(file),
        "test_error_percent": round(100 * float(np.mean(logits.argmax(-1) != y)), 2),
        "logits": [[round(float(z), 5) for z in row] for row in logits[:IMAGES]],
    }


def samples(data):
    """The first test image of each digit, as bytes in base64."""
    x, y = data.test
    firsts = (x[np.argmax(y == digit)] for digit in range(10))
    return [base64.b64encode(np.uint8(np.round(255 * i))).decode() for i in firsts]


def take_picture():
    """Draw a digit on the built page, and store what it shows."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.goto(PAGE.as_uri())
        page.click("#playground-load")
        page.locator("#playground-load").wait_for(state="hidden")
        draw(page, SEVEN)
        page.locator("#playground-probabilities .best").first.wait_for()
        image = page.locator("#playground").screenshot()
    drawn = Image.open(BytesIO(image)).convert("RGB")
    drawn.quantize(32, dither=Image.Dither.NONE).save(PICTURE, optimize=True)


def draw(page, stroke):
    """Draw one stroke on the page's board by the mouse, through points within it."""
    board = page.locator("#playground-board").bounding_box()
    points = [
        (board["x"] + x * board["width"], board["y"] + y * board["height"])
        for x, y in stroke
    ]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=8)
    page.mouse.up()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--picture", action="store_true", help="of the built page")
    if parser.parse_args().picture:
        take_picture()
        return
    data = Data(*load_mnist())
    networks = train(data)
    files = {name: file_of(network) for name, network in networks.items()}
    record = {
        "environment": environment(),
        "date": today(),
        "seed": SEED,
        "epochs": EPOCHS,
        "networks": {
            name: figures(network, data, files[name])
            for name, network in networks.items()
        },
        "samples": samples(data),
    }
    RECORD.write_text(json.dumps(record) + "\n", encoding="utf-8")
    texts = json.dumps({name: packed(file) for name, file in files.items()}, indent=0)
    NETWORKS.parent.mkdir(exist_ok=True)
    NETWORKS.write_text(
        "// ONNX files, packed by gzip: written by `python -m scripts.playground`.\n"
        f"window.playgroundNetworks = {texts};\n",
        encoding="utf-8",
    )
    for name, network in record["networks"].items():
        print(name, {key: network[key] for key in network if key != "logits"})


if __name__ == "__main__":
    main()
