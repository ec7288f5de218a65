"""The vendored files are what their record says, and the check notices when not."""

import base64
import gzip
import hashlib
import json
import re
import shutil

import pytest

from scripts import vendor


def test_files_match_their_record():
    assert vendor.check() == []
    for package in json.loads(vendor.RECORD.read_text(encoding="utf-8"))["packages"]:
        assert (
            package["name"]
            and package["version"]
            and package["licence"]
            and package["sha256"]
        )


def test_the_packed_runtime_is_the_published_one():
    script = (vendor.VENDOR / "onnxruntime/wasm.js").read_text(encoding="utf-8")
    published = re.search(r"SHA-256 of \S+: (\w{64})", script)[1]
    wasm = gzip.decompress(base64.b64decode(script.split('"')[1]))
    assert hashlib.sha256(wasm).hexdigest() == published


@pytest.mark.parametrize("damage", ["change", "remove", "add"])
def test_damage_is_noticed(damage, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(vendor, "VENDOR", tmp_path / "vendor")
    monkeypatch.setattr(vendor, "RECORD", tmp_path / "vendor" / vendor.RECORD.name)
    shutil.copytree(vendor.ROOT / "assets/vendor", vendor.VENDOR)
    victim = vendor.VENDOR / "mathjax/mathjax.js"
    if damage == "change":
        victim.write_bytes(victim.read_bytes() + b" ")
    elif damage == "remove":
        victim.unlink()
    else:
        (vendor.VENDOR / "mathjax/extra.js").write_text("")
    assert vendor.main(["--check"]) == 1
    assert "mathjax/" in capsys.readouterr().err
