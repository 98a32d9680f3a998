"""The process of the `hueprobe` command, and of `python -m hueprobe`."""

from hueprobe.allocation import ask_for_huge_pages
from hueprobe.cli import main


def run() -> None:
    """Run the command in its own process: only here is torch's memory allocation configured."""
    ask_for_huge_pages()
    main()


if __name__ == "__main__":
    run()
