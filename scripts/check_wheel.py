"""Build the source distribution, from it the wheel, and check that the wheel holds the package and works.

Needs no network: the build uses the hatchling that is installed.
"""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

PROBE = """
import sys
from pathlib import Path
import textenv
assert Path(textenv.__file__).is_relative_to(sys.argv[1]), f"imported {textenv.__file__}, not the wheel's textenv"
heavy = {"jinja2", "matplotlib", "pandas", "torch", "transformers"} & set(sys.modules)
assert not heavy, f"import textenv imports {heavy}"
import gymnasium
gymnasium.spec("TextSentiment-v0")
"""


def run(*command: str | Path, cwd: Path) -> str:
    """Run a Python command; its output is shown only if it fails."""
    done = subprocess.run([sys.executable, *command], cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command[:3]))} failed:\n{done.stdout.rstrip()}")
    return done.stdout


def tree_files() -> set[str]:
    """List the package's files that git has or would add."""
    command = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "textenv")
    names = subprocess.run(command, cwd=ROOT, text=True, check=True, capture_output=True).stdout.split("\0")
    return {name for name in names if name and (ROOT / name).is_file()}


def wheel_files(wheel: Path) -> set[str]:
    """List a wheel's files without its metadata."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.split("/")[0].endswith(".dist-info")}


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        # Started elsewhere, so that nothing but the arguments leads to the tree.
        run("-m", "build", "--no-isolation", "--outdir", folder / "dist", ROOT, cwd=folder)
        (wheel,) = (folder / "dist").glob("*.whl")
        tree, packed = tree_files(), wheel_files(wheel)
        if tree != packed:
            sys.exit(
                f"The wheel differs from the tree.\nOnly in the tree: {sorted(tree - packed)}\nOnly in the wheel: {sorted(packed - tree)}"
            )
        site = folder / "site"
        run("-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", site, wheel, cwd=folder)
        run("-c", f"import sys; sys.path.insert(0, {str(site)!r})\n{PROBE}", str(site), cwd=folder)
        print(f"{wheel.name}: {len(packed)} files, {wheel.stat().st_size / 1e6:.1f} MB, imports from outside the repository")


if __name__ == "__main__":
    main()
