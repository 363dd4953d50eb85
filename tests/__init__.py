"""What proves the course; its rooms are those of `helpers`."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
