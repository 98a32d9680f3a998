"""`python -m hueprobe`, the same as the `hueprobe` command."""

from hueprobe.cli import main

main()
