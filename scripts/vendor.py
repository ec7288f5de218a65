"""Fetch what pages and slides load, so that they need no network.

    python scripts/vendor.py            download again, with npm, into assets/vendor/
    python scripts/vendor.py --check    compare the files with VENDOR.json, offline

The files are committed, so only someone who raises a version needs npm. VENDOR.json
records the name, version and licence of every package and the SHA-256 of every file.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent
VENDOR = ROOT / "assets" / "vendor"
RECORD = VENDOR / "VENDOR.json"

MATHJAX, ESBUILD = "mathjax-full@3.2.2", "esbuild@0.28.2"
ONNXRUNTIME = "onnxruntime-web@1.30.0"

# What a script beside this one makes of a package, with esbuild: package -> (script, files).
BUNDLES = {
    MATHJAX: ("mathjax.mjs", ["mathjax/mathjax.js"]),
    ONNXRUNTIME: (
        "onnxruntime.mjs",
        ["onnxruntime/LICENSE", "onnxruntime/ort.js", "onnxruntime/wasm.js"],
    ),
}

# Package -> files to keep: {path in the package: path below assets/vendor}.
PACKAGES = {
    MATHJAX: {
        "LICENSE": "mathjax/LICENSE",
        "es5/output/chtml/fonts/woff-v2/*.woff": "mathjax/output/chtml/fonts/woff-v2/*",
    },
    "reveal.js@5.2.1": {
        "LICENSE": "reveal/LICENSE",
        "dist/reveal.css": "reveal/reveal.css",
        "dist/reveal.js": "reveal/reveal.js",
        "plugin/notes/notes.js": "reveal/notes.js",
    },
    "@fontsource-variable/literata@5.3.0": {
        "LICENSE": "literata/LICENSE",
        "files/literata-latin-wght-normal.woff2": "literata/latin.woff2",
        "files/literata-greek-wght-normal.woff2": "literata/greek.woff2",
    },
    # One weight is enough for italics and code, and weighs half.
    "@fontsource/literata@5.3.0": {
        "files/literata-latin-400-italic.woff2": "literata/latin-italic.woff2",
    },
    "@fontsource/jetbrains-mono@5.3.0": {
        "LICENSE": "jetbrains-mono/LICENSE",
        "files/jetbrains-mono-latin-400-normal.woff2": "jetbrains-mono/latin.woff2",
    },
    ONNXRUNTIME: {},
}


def fetch():
    """Download every package and replace assets/vendor/ once all of them are there."""
    if shutil.which("npm") is None:
        raise SystemExit(
            "vendor: npm is needed to download (not to --check): install Node.js."
        )
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch) / "vendor"
        packages = {spec: unpack(spec, keep, fresh) for spec, keep in PACKAGES.items()}
        for spec, (script, files) in BUNDLES.items():
            bundle(spec, script, (fresh / files[0]).parent)
            packages[spec]["bundled with"] = ESBUILD
            packages[spec]["sha256"] |= {path: digest(fresh / path) for path in files}
        record = json.dumps({"packages": list(packages.values())}, indent=2) + "\n"
        (fresh / RECORD.name).write_text(record, encoding="utf-8")
        shutil.rmtree(VENDOR, ignore_errors=True)
        shutil.copytree(fresh, VENDOR)


def unpack(spec, keep, target):
    """Copy the kept files of one npm package below `target`; return its record."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [
            shutil.which("npm"),
            "pack",
            "--silent",
            "--pack-destination",
            scratch,
            spec,
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (archive,) = Path(scratch).glob("*.tgz")
        with tarfile.open(archive) as tar:
            members = {
                str(
                    PurePosixPath(*PurePosixPath(member.name).parts[1:])
                ): tar.extractfile(member).read()
                for member in tar.getmembers()
                if member.isfile()
            }
    hashes = {}
    for pattern, place in keep.items():
        matches = [name for name in members if PurePosixPath(name).match(pattern)]
        if not matches:
            raise SystemExit(f"vendor: {spec} has no file {pattern}.")
        for name in matches:
            path = place.replace("*", PurePosixPath(name).name)
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            (target / path).write_bytes(members[name])
            hashes[path] = hashlib.sha256(members[name]).hexdigest()
    about = json.loads(members["package.json"])
    return {
        "name": about["name"],
        "version": about["version"],
        "licence": about["license"],
        "source": about["homepage"] if "homepage" in about else repository(about),
        "sha256": dict(sorted(hashes.items())),
    }


def bundle(spec, script, output):
    """Let ``script`` write what it makes of a package and esbuild into a folder."""
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        install = [shutil.which("npm"), "install", "--silent", "--prefix", scratch]
        subprocess.run([*install, spec, ESBUILD], check=True)
        command = ["node", ROOT / "scripts" / script, scratch, output]
        subprocess.run(command, check=True)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def repository(about):
    """The address of a package's source, from its package.json."""
    entry = about["repository"]
    return entry["url"] if isinstance(entry, dict) else entry


def check():
    """Return what differs between assets/vendor/ and its record, one line each."""
    if not RECORD.is_file():
        return [f"{RECORD} is missing: run `python scripts/vendor.py`."]
    packages = json.loads(RECORD.read_text(encoding="utf-8"))["packages"]
    expected = {
        path: sha256
        for package in packages
        for path, sha256 in package["sha256"].items()
    }
    found = {
        path.relative_to(VENDOR).as_posix(): digest(path)
        for path in VENDOR.rglob("*")
        if path.is_file() and path != RECORD
    }
    problems = [f"{path} is missing" for path in expected.keys() - found.keys()]
    problems += [f"{path} is not recorded" for path in found.keys() - expected.keys()]
    problems += [
        f"{path} differs from its recorded SHA-256"
        for path in expected.keys() & found.keys()
        if expected[path] != found[path]
    ]
    versions = {f"{package['name']}@{package['version']}" for package in packages}
    problems += [
        f"{spec} is not what VENDOR.json records" for spec in PACKAGES.keys() - versions
    ]
    return sorted(problems)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--check", action="store_true", help="verify the hashes, offline"
    )
    if not parser.parse_args(arguments).check:
        fetch()
    problems = check()
    for problem in problems:
        print(f"vendor: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
