"""Format, lint and test the JavaScript and CSS; with --fix, fix what can be fixed.

npm fetches the formatter and linter, biome, into .venv/javascript. Without npm, or
without Node, a line says what is left out; where the variable CI is set, that is a failure.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests import ROOT

HERE = Path(__file__).parent
FOLDER = Path(sys.prefix, "javascript")
BIOME = FOLDER / "node_modules" / "@biomejs" / "biome"
TESTS = sorted(HERE.glob("*.test.mjs"))
FILES = [
    path
    for pattern in ("*.js", "*.mjs", "*.css")
    for folder in (ROOT / "helpers", HERE)
    for path in sorted(folder.rglob(pattern))
]


def passes(*command: str | Path) -> bool:
    """Run a command beside biome.json; show what it says only if it fails."""
    both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(command, cwd=HERE, encoding="utf-8", **both)
    if done.returncode:
        print(done.stdout)
    return done.returncode == 0


def left_out(line: str) -> bool:
    """Say what is not checked here; with CI, that is a failure."""
    print(line)
    return os.environ.get("CI") != "true"


def is_installed() -> bool:
    """Tell whether .venv/javascript holds the pinned version of biome."""
    pinned = read(HERE / "package.json")["devDependencies"]["@biomejs/biome"]
    manifest = BIOME / "package.json"
    return manifest.exists() and read(manifest)["version"] == pinned


def read(path: Path) -> dict:
    """Return what a JSON file holds."""
    return json.loads(path.read_text(encoding="utf-8"))


def style_is_clean(node: str, fix: bool) -> bool:
    """Format and lint with biome, installing it first where it is not here yet."""
    if not is_installed():
        npm = shutil.which("npm")
        if not npm:
            return left_out("npm is not here, so JavaScript and CSS are not linted.")
        FOLDER.mkdir(exist_ok=True)
        shutil.copy(HERE / "package.json", FOLDER)
        quiet = ["--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
        if not passes(npm, "install", *quiet, "--prefix", FOLDER):
            return left_out("npm did not get biome, so JavaScript and CSS are not linted.")
    task = ["check", "--write"] if fix else ["ci"]
    strict = ["--error-on-warnings", "--colors=off"]
    return passes(node, BIOME / "bin" / "biome", *task, *strict, *FILES)


def main(arguments: list[str]) -> bool:
    """Check everything; tell whether all is well."""
    node = shutil.which("node")
    if not node:
        return left_out("Node is not here, so the JavaScript is not checked.")
    # The tests also parse the files. `node --check` does not: it lets mistakes in an ES
    # module pass whose name ends in .js.
    clean = style_is_clean(node, fix="--fix" in arguments)
    return passes(node, "--test", "--test-reporter=spec", *TESTS) and clean


if __name__ == "__main__":
    sys.exit(not main(sys.argv[1:]))
