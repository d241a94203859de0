"""The configurations of the experiments, a file each."""

from pathlib import Path

FOLDER = Path(__file__).parent
