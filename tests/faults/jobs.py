"""The work that is disturbed: what each job starts from, its command, and what it leaves when undisturbed."""

import shutil
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from tests.faults.children import contents, differences, unsound

N_PARTS = 3  # of the 23 images of `first`, in shards of 8
TINY = ("--backbone", "tests.tiny_network:tiny", "--layer", "3", "--batch-size", "4")
INDEXES = ("--searcher", "annoy:trees=2", "--searcher", "faiss:IVF4,Flat")


def draw_images(root):
    """Draw two sets of two classes: `first`, of 22 images and one torn, and `more`, of 10."""
    rng = np.random.default_rng(0)
    for part, classes, n in (("first", "ab", 11), ("more", "bc", 5)):
        for name in classes:
            (root / part / name).mkdir(parents=True)
            for i in range(n):
                values = rng.integers(0, 256, (30, 36, 3)).astype(np.uint8)
                Image.fromarray(values).save(root / part / name / f"{part}{i}.png")
    (root / "first" / "b" / "torn.png").write_bytes(b"\x89PNG\r\n")
    return root


@dataclass
class Job:
    """A command that makes or changes what lies in a folder.

    Attributes
    ----------
    name : str
    command : callable
        `command(folder)` gives its arguments.
    before : Path or None
        What is copied into the folder first.
    whole : dict
        Name -> bytes of everything in the folder behind an undisturbed run.
    during : dict
        The same of what is there only in between, or before.
    points, seconds
        What an undisturbed run reached, and how long it took.
    """

    name: str
    command: object
    before: object = None
    whole: dict = field(default_factory=dict)
    during: dict = field(default_factory=dict)
    points: list = field(default_factory=list)
    seconds: float = 0.0

    def prepare(self, folder):
        """Make a new folder as it is before the job."""
        folder.mkdir()
        if self.before is not None:
            shutil.copytree(self.before, folder / self.before.name)
        return folder

    def learn(self, children, folder):
        """Run the job undisturbed, to know how it ends."""
        ended = children.run(*self.command(self.prepare(folder)), points={})
        assert ended.code == 0, ended.err
        self.whole, self.points, self.seconds = contents(folder), ended.points, ended.seconds
        return self

    def finished_wrong(self, children, folder):
        """Run the job to its end; return what is not as an undisturbed run leaves it, or None."""
        ended = children.run(*self.command(folder))
        if ended.code != 0:
            return f"{self.name}: run again, it ends with {ended.code}: {ended.err[-400:]}"
        if different := differences(folder, self.whole):
            return f"{self.name}: not the undisturbed bytes: {different}"
        return None

    @property
    def moments(self):
        """Numbers of the points, of many equal ones in a row (Parquet's writes) the first and the last."""
        names = ["", *self.points, ""]
        return [i for i in range(1, len(names) - 1) if not names[i - 1] == names[i] == names[i + 1]]

    def unsound(self, folder):
        """Say what is wrong with an interrupted job's memories, or None."""
        found = unsound(folder, {**self.during, **self.whole})
        return found and f"{self.name}: {found}"


class Jobs:
    """All jobs by name, each learnt when first asked for."""

    def __init__(self, children, root):
        images = draw_images(root)
        search = ("search", root / "base" / "m", images / "first", "--part", "2/3", "--k", "3")
        base = root / "base"
        build = ("index", images / "first", *TINY)
        more = ("index", images / "more", "--append")
        layers = (*TINY[:2], *TINY[4:], "--layer", "1", "--layer", "3")
        self._children, self._root, self._learnt = children, root, {}
        self._jobs = [
            Job("index", lambda f: (*build, "-o", f / "m", *INDEXES)),
            Job("append", lambda f: (*more, "-o", f / "m", *INDEXES[:2]), base / "m"),
            Job("sparse16", lambda f: (*build, "--dtype", "sparse16", "-o", f / "m")),
            Job("pooled", lambda f: ("index", base / "m", "-o", f / "p", "--descriptor", "gap")),
            Job("layers", lambda f: (*build[:2], *layers, "-o", f / "m")),
            Job("annoy", lambda f: (*build, "-o", f / "m", *INDEXES[:2]), base / "m"),
            Job("faiss", lambda f: (*build, "-o", f / "m", *INDEXES[2:]), base / "m"),
            Job("codes", lambda f: ("codes", f / "m"), base / "m"),
            Job("part", lambda f: (*build, "-o", f / "m", "--part", f"2/{N_PARTS}")),
            Job("join", lambda f: ("join", f / "m"), base / "p" / "m.parts"),
            Job("search part", lambda f: (*search, "-o", f / "p.arrow")),
            Job("observe accuracy", lambda f: ("observe", "accuracy", base / "m", "-o", f / "o")),
        ]
        base.mkdir()
        parts = [(*build, "-o", base / "p" / "m", "--part", f"{i}/{N_PARTS}") for i in (3, 1, 2)]
        for command in [(*build, "-o", base / "m"), *parts]:
            ended = children.run(*command)
            assert ended.code == 0, ended.err
        self.undisturbed = contents(base / "m")
        parts = {f"m.parts/{name}": data for name, data in contents(base / "p" / "m.parts").items()}
        self._joining = parts | {f"m.parts/whole/{name}": data for name, data in self.undisturbed.items()}

    def __getitem__(self, name):
        if name not in self._learnt:
            (job,) = [job for job in self._jobs if job.name == name]
            job.during = self._joining if name == "join" else {}
            self._learnt[name] = job.learn(self._children, self._root / f"whole {name}")
        return self._learnt[name]
