"""Write the repository's address wherever the project states it.

    python scripts/address.py https://github.com/YOU/BOOK    rewrite every mention
    python scripts/address.py --check                            say whether all agree

The address in `_config.yml` (repository.url) is the source of truth. Every text file is
searched for the old one, in each form it takes: the repository itself, Colab links, raw
files, `git+https`, and the published site. Only these bytes change, so notebooks keep
their formatting. Nothing is written unless the new address is valid.
"""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
# Built, installed or downloaded: nothing there is ours to rewrite.
SKIPPED = {"_build", "build", "dist", "node_modules", "vendor", "__pycache__"}
HIDDEN_BUT_OURS = {".github", ".ci"}

PLACEHOLDER = "OWNER"  # while nobody has stated an address
OWNER = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,37}[A-Za-z0-9])?"
NAME = r"[A-Za-z0-9_.-]+"
GITHUB = "https://github.com/"
CONFIG_URL = re.compile(rb"^(\s+url:\s*)(\S+)", re.MULTILINE)
COLAB = re.compile(
    rb"colab\.research\.google\.com/github/([^/\s]+)/([^/\s]+)/blob/([^/\s]+)/([^\s)\"'\\?#]+)"
)
# What may stand before owner/name when a repository is meant.
HOSTS = rb"(github\.com[/:]|colab\.research\.google\.com/github/|raw\.githubusercontent\.com/|mybinder\.org/v2/gh/)"


class Address(NamedTuple):
    """A repository on GitHub."""

    owner: str
    name: str

    @classmethod
    def parse(cls, url):
        match = re.fullmatch(
            rf"https://github\.com/({OWNER})/({NAME}?)(?:\.git)?/?", url
        )
        if not match or match[2] in ("", ".", ".."):
            raise ValueError(
                f"Expected an address such as https://github.com/OWNER/nestrade. Received: {url!r}. "
                "Colab opens notebooks from github.com only."
            )
        return cls(*match.groups())

    @property
    def slug(self):
        return f"{self.owner}/{self.name}".encode()

    @property
    def site(self):
        """The published book, without https:// and trailing slash."""
        host = f"{self.owner}.github.io"
        same = self.name.lower() == host.lower()
        return (host if same else f"{host}/{self.name}").encode()


def configured(root):
    """The address that `_config.yml` states."""
    config = root / "_config.yml"
    match = CONFIG_URL.search(config.read_bytes())
    if not match:
        raise ValueError(
            f"{config} has no repository url: add `repository: {{url: https://github.com/OWNER/NAME}}`."
        )
    return Address.parse(match[2].decode())


def found(root):
    """The configured address; for a fork that has set none, what GitHub or git says."""
    ours = configured(root)
    if ours.owner != PLACEHOLDER:
        return ours
    command = ["git", "-C", str(root), "remote", "get-url", "origin"]
    try:
        if slug := os.environ.get("GITHUB_REPOSITORY"):
            return Address.parse(f"{os.environ.get('GITHUB_SERVER_URL')}/{slug}")
        remote = subprocess.run(command, capture_output=True, text=True).stdout.strip()
        # As ssh writes it: git@github.com:OWNER/NAME.git
        return Address.parse(re.sub(r"^(ssh://)?git@github\.com[:/]", GITHUB, remote))
    except (OSError, ValueError):
        return ours


def text_files(root):
    """Yield (path, bytes) for each text file of the project."""
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(
            name
            for name in folders
            if name not in SKIPPED
            and not name.endswith(".egg-info")
            and (name[0] != "." or name in HIDDEN_BUT_OURS)
        )
        for name in sorted(files):
            path = Path(folder, name)
            content = path.read_bytes()
            if b"\0" not in content[:8192]:
                yield path, content


def replace(content, old, new):
    """Return `content` with every mention of `old` turned into `new`."""
    end = rb"(?![\w-]|\.(?!git\b)\w)"
    repository = HOSTS + re.escape(old.slug) + end
    content = re.sub(repository, lambda match: match[1] + new.slug, content)
    site = rb"(?<![\w.-])" + re.escape(old.site) + end
    return re.sub(site, lambda match: new.site, content, flags=re.IGNORECASE)


def rewrite(root, url):
    """Turn every mention of the configured address into `url`; return the files changed."""
    old, new = configured(root), Address.parse(url)
    changes = {
        path: fresh
        for path, content in text_files(root)
        if (fresh := replace(content, old, new)) != content
    }
    for path, fresh in changes.items():
        path.write_bytes(fresh)
    return sorted(changes)


def disagreements(root):
    """Return one line for every address that differs from the configured one."""
    ours = configured(root)
    branch = re.search(
        rb"^\s+branch:\s*(\S+)", (root / "_config.yml").read_bytes(), re.MULTILINE
    )[1]
    same_name = re.compile(
        HOSTS
        + rb"("
        + OWNER.encode()
        + rb")/"
        + re.escape(ours.name.encode())
        + rb"(?![\w-])"
    )
    lines = []
    for path, content in text_files(root):
        where = path.relative_to(root).as_posix()
        for match in same_name.finditer(content):
            if match[2] != ours.owner.encode():
                lines.append(
                    f"{where}: {match[0].decode()} is not {ours.slug.decode()}"
                )
        links = list(COLAB.finditer(content))
        for match in links:
            if match[1] + b"/" + match[2] != ours.slug or match[3] != branch:
                lines.append(
                    f"{where}: {match[0].decode()} is not at {ours.slug.decode()}, {branch.decode()}"
                )
            elif not (root / match[4].decode()).is_file():
                lines.append(
                    f"{where}: {match[0].decode()} names no file of this repository"
                )
        if path.suffix == ".ipynb" and path.parent == root / "chapters":
            if where.encode() not in {match[4] for match in links}:
                lines.append(f"{where}: has no Colab link to itself")
    return sorted(set(lines))


def main(arguments=None, root=ROOT):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("url", nargs="?", help="https://github.com/OWNER/NAME")
    action.add_argument(
        "--check",
        action="store_true",
        help="change nothing; fail where an address differs",
    )
    options = parser.parse_args(arguments)
    try:
        if options.check:
            problems = disagreements(root)
            for problem in problems:
                print(f"address: {problem}", file=sys.stderr)
            return 1 if problems else 0
        changed = rewrite(root, options.url)
    except ValueError as error:
        print(f"address: {error}", file=sys.stderr)
        return 2
    print(f"address: {options.url} in {len(changed)} files")
    return 0


if __name__ == "__main__":
    sys.exit(main())
