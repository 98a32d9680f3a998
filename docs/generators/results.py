"""Pages of measured results, from the files in `benchmarks/results`: no number on them is typed by hand."""

import json
from collections.abc import Callable
from pathlib import Path

from benchmarks import tables, verdict_table
from generators.pages import write_page

# Tables of results need the width: these pages have no contents at their side.
WIDE = "---\nhtml_theme.sidebar_secondary.remove: true\n---\n\n"


def write(folder: Path) -> None:
    """Write every page of results with its figures, and their table of contents."""
    draw(folder)
    for name, page in PAGES.items():
        write_page(folder / f"{name}.md", WIDE + page())
    names = "\n".join(PAGES)
    write_page(
        folder / "index.md",
        "# Results\n\nEverything here is generated from the files in `benchmarks/results` when the documentation "
        "is built.\nEach page names the command that measures it anew.\n\n"
        f"```{{toctree}}\n:maxdepth: 1\n\n{names}\n```\n",
    )


def draw(folder: Path) -> None:
    """Draw the figures of the pages."""
    from hueprobe import plots

    folder.mkdir(parents=True, exist_ok=True)
    results = json.loads((tables.RESULTS / "accuracy.json").read_text("utf-8"))
    plots.accuracy_grid_figure(tables.accuracy_rows(results)).savefig(folder / "accuracy_grid.png")


def sections(name: str) -> str:
    """Return the tables of every results file of a benchmark, each under a heading with its file's name."""
    parts = []
    for path in tables.result_files(name):
        text = tables.TABLES[name](json.loads(path.read_text("utf-8")))
        parts.append(f"## `{path.name}`\n\n{text}")
    return "\n\n".join(parts) or "This has not been measured yet."


def accuracy() -> str:
    """Return the page on accuracy, and on what precision and batch size change."""
    return f"""# Accuracy

Classification by the kernel density of Eq. (1)-(3), K = 10. *Held out*: half of each class is in memory and the
other half is classified. *Leave one out*: the memory's own images, each without itself. Intervals are 95 %
Wilson intervals. Differences between descriptors amount to a few images; `hueprobe observe accuracy` tests them
in pairs.

Measured with `python -m benchmarks.accuracy`.

{sections("accuracy")}

## In the form of the paper's Fig. 4

Of the paper's six tasks there are two, in two protocols each, and with fewer classes. Dashed lines stand at the
accuracy of the best network of those measured (left) and of pixel vectors (right). Counts of the best take
accuracies as they are: most differences are smaller than their intervals.

![Accuracy by network and by descriptor](accuracy_grid.png)

**"DenseNet-201 best in 5 of 6 tasks" is not tested here.** None of the paper's networks with its ImageNet weights
was run, DenseNet-201 included, as those weights were not at hand: ResNet-50 is the first published form, and
MobileNetV2 is TensorFlow's. Neither were Stanford Dogs nor the HCP brain images, which were not at hand either.
With the weights and the images, `hp.studies.accuracy_grid` makes the runs and
{{py:obj}}`hueprobe.plots.accuracy_grid_figure` draws them.

# Half precision

What `--precision bf16` and `fp16` change. Measured with `python -m benchmarks.precision`.

{sections("precision")}

# Batch size

The batch size can change the last digits of an activation, so it is a recorded setting of a memory. Measured
with `python -m benchmarks.batch_size`.

{sections("batch_size")}
"""


def annoy() -> str:
    """Return the page on what Annoy changes in the observations."""
    return f"""# Observations by approximate search

The paper searches with Annoy; hueprobe's verdicts are by exact search. Here the same query images are searched with
both, and the numbers that decide claims 3 and 4 are compared. A difference of less than one half-width is one that
the interval covers. *In blocks* is the recall of the searches within blocks, which the class positions of claim 3b
come from. Annoy's default `search_k` is the number of trees times the number of neighbors fetched, which is more
than K, since the query's own image is left out.

Measured with `python -m benchmarks.annoy_effect`.

{sections("annoy_effect")}

## What this says

Signs and conclusions stay the same with every setting. But with few trees the matches that Annoy misses are not a
random share: same-class matches look more central, other-class matches less peripheral, and fewer stay in their
cell, by up to one and a half half-widths. Where recall is above 0.95, all differences are below a quarter of a
half-width. This is one set with one network.
"""


def dense() -> str:
    """Return the page on dense labels."""
    return f"""# Dense labels

Labels of pixels from the nearest cells on CamVid (480 x 360, 11 labels): 120 images of the train part are the
memory, 60 of the test part are segmented. Intervals are 95 % intervals of a bootstrap over images; those over runs of
five neighboring frames of a drive come second. {{py:obj}}`hueprobe.dense` describes scores and baselines, and
[Label pixels by nearest cells](../how-to/segment.md) the two protocols.

Measured with `python -m benchmarks.dense`.

{sections("dense")}
"""


def speed() -> str:
    """Return the page on search."""
    return f"""# Search speed

All searchers take turns in the same rounds on the same machine; each cell gives the median with the least and
the greatest ratio of the rounds. Every query searches for its 10 nearest neighbors outside its own image. Ratios
hold for the processor that the file names; on other processors they differ.

# By network

Five memories of real activations; the last network's are signed. `sparse` multiplies only the nonzero values,
so it depends on their share. Measured with `python -m benchmarks.search_networks`; files "restricted to avx2"
with `--instructions avx2`: nobody then used more of that processor.

{sections("search_networks")}

# Selection and ranking

Exact search of 980 queries: products and selection are one pass, and ranking computes the candidates' exact
distances. The time of selection is that of the pass less that of a pass whose bounds let nothing through.
Measured with `python -m benchmarks.selection_share`.

{sections("selection_share")}

# Against approximate search, by size

Vectors are real EfficientNet-Lite0 activations with 1,280 channels. "Bare" is FAISS called directly, without
hueprobe's exclusion. The files of the Intel machine were measured before there were native products.

Measured with `python -m benchmarks.search`; one million vectors with
`python -m benchmarks.search --sizes 88200 1000000 --approximate-up-to 0 --rounds 2`.

{sections("search")}

# An index built by pieces

FAISS indexes of made vectors, each built in a process of its own ({{doc}}`/how-to/large-memories`). The second table
excludes each query's own image of 49 vectors, so that 59 candidates are ranked without `rerank=`. Made vectors
say little about the recall on yours. Measured once with `python -m benchmarks.approximate_scale`.

{sections("approximate_scale")}

Nothing has been measured on a GPU yet. The commands are `python -m benchmarks.device_search` and
`python -m benchmarks.extraction --device cuda`.

# Where the time of `observe all` goes

Seconds by stage on the 800 images of Caltech 101, median [least, greatest] of the rounds. The `verdicts.json` of all
versions and rounds are the same, byte for byte. Before exact search had native products, it took most of
the time; now statistics and figures do. The clock of the stages was added to the earlier version. Measured with
`python -m benchmarks.observe_stages`.

{sections("observe_stages")}
"""


def extraction() -> str:
    """Return the page on building memories."""
    return f"""# Extraction speed

`hueprobe index` against the bare network on 800 images of Caltech 101 with random weights, in milliseconds per
image. The bound on a CPU is 1 / (forward + decode / cores), each measured alone before and after the build.
"Plain" is the forward pass of a script of your own (eval and inference mode, channels_last) in a process of its
own. The tighter bound takes that pass with hueprobe's way of allocating memory ("ours").

`hueprobe index` beats a plain script in fp32 because it reuses the network's freed memory and because torch's
large tensors lie on huge pages; the share of each was not measured. `hp.build_memory` has the first as well, and
your own loop gets it from `with hueprobe.allocation.freed_memory_kept():`. The second needs
`THP_MEM_ALLOC_ENABLE=1` in the environment before torch makes its first tensor; the command sets it in its own
process, unless you have set it.

Measured with `python -m benchmarks.extraction`. The machine was shared, and several runs are kept.

{sections("extraction")}

# Memory use

Anonymous memory of `hueprobe index`, measured with `python -m benchmarks.memory_use`.

{sections("memory_use")}

# A million images

CPU time from opening a memory to the first answer, and of listing and splitting, where the list of images is what
costs. Each process is new and does its steps in this order; the peak is that of the process so far. The import is
mostly torch, whose libraries fill most of the peak. *Before* is the version that held lists of images as tuples of
strings. The machine was shared, so the clock showed two to four times as much; the file has both.

Measured with `python -m benchmarks.million_images`; files were in the page cache.

{sections("million_images")}

# Compact shards

Memories built with `--dtype sparse16` beside float16 ({{doc}}`/how-to/larger-than-one-machine`): the same vectors
and the same neighbors, bit for bit, which the benchmark checks. *Store* is what is left of `index` without the
network. *New* searches open the memory and read every row; *again* is the same searcher's next search, which reads
the rows of its candidates. *Cold* means that the files were dropped from the page cache. "By NumPy" is the reading
of rows where no C compiler was found at installation.

Measured with `python -m benchmarks.compact_shards`.

{sections("compact_shards")}
"""


def scale() -> str:
    """Return the page on many workers, kills, and millions of vectors."""
    return f"""# Many workers, and millions of vectors

A rehearsal on one machine of what {{doc}}`/how-to/larger-than-one-machine` describes. Workers here share the cores of
that machine, so more of them can hardly be faster than one process, which uses all cores as well; each begins with
loading torch and the network. What is tested is that bytes and matches stay the same, and that workers which die
lose nothing.

Measured with `python -m benchmarks.scale`; the machine was shared.

{sections("scale")}
"""


def explorer() -> str:
    """Return the page on the explorer."""
    return f"""# Speed of the explorer

Half of Caltech 101's 800 images are in the memory, the others are query images of `hueprobe explore`. The server
and a classifier in another process take turns with the same images; both have loaded the network. *Meanwhile* is
while the background pass over all query images runs, with a second between the queries: one waits for the step of
the pass that has begun.

Measured with `python -m benchmarks.explorer --networks resnet50_v1 squeezenet1_1`.

{sections("explorer")}

# The page in one file

Opened from disk in a headless Chromium. A cell has answered when its matches are painted, which includes waiting for
up to two of 60 frames a second. Measured with `python -m benchmarks.explorer_page`.

{sections("explorer_page")}
"""


def verdicts() -> str:
    """Return the page with a table of verdicts for each set."""
    parts = [f"## {title}\n\n{verdict_table.table(folder)}" for folder, title in verdict_table.SETS.items()]
    text = "\n\n".join(parts)
    return f"""# Verdicts on the paper's claims

All images are in memory, and each queries the others. A cell gives the effect, its 95 % interval and the
verdict. {{doc}}`/concepts/claims-and-verdicts` explains the claims and the rules;
{{doc}}`/concepts/statistics` explains the intervals. The records hold p-values, units and definitions
(`benchmarks/results/observations-*.json`).

Measured with `hueprobe observe all MEMORY -o FOLDER --control random-mirror --control mirror-queries`; claims 4 and
5 anew with `python -m benchmarks.verdict_table --again MEMORIES` (in 20 bins of match quality, and against planes of
the class means), and claim 3b with `python -m benchmarks.interventions run`. All are judged by the rules as they stand.

{text}

## What the claims come to

Four networks on each set; the number after a verdict is the number of networks.

{verdict_table.claims_in_words()}

Claim 3b is decided by flipping all images, see {{doc}}`interventions`. Where claim 5 does not hold, other planes
within the span of the class means tell the classes as well as that of their principal components.

## All of them at once

{verdict_table.counts()}

Networks on one set see the same images, so they are no replications; sets are. One mean effect per claim over the
sets, by random effects (Paule and Mandel's variance between sets, Hartung and Knapp's interval). With three sets the
intervals are wide: what is found on three kinds of images need not be found on a fourth.

{verdict_table.summary()}

## What of the paper was run

| the paper | here | in its place, or why not |
| --- | --- | --- |
| Caltech 101, UTKFace (sex), DTD | 20 classes of 40 images, 2 of 300, 10 of 40 | subsets, so that all tests run in minutes |
| Stanford Dogs, HCP brain MRI (sex; family) | not run | the images are not at hand; `hueprobe data` has manifests for both, HCP's needs an agreement |
| DenseNet-201, Inception v3, VGG with ImageNet weights | not run | their weights are not at hand; all three are in the table of networks, so `--backbone densenet201` runs where they are |
| "DenseNet-201 is best in five of six tasks" (Fig. 4) | not tested | for the same reason |
| ResNet | "ResNet-50" is He's first version, with the stride in the first convolution | torchvision's weights are not at hand, and give other numbers |
| - | EfficientNet-Lite0, SqueezeNet 1.1 | real weights at hand; the first ends in ReLU6 |
| - | "MobileNetV2" has TensorFlow's weights, dequantized from int8 | |
| Annoy | exact search | {{doc}}`speed` compares their recall and speed |
"""


def training() -> str:
    """Return the page on the comparison of losses."""
    return f"""# Training comparison

ResNet-18 from scratch at a size that a CPU can train, much reduced from the paper's setting: 64 px, 20 epochs,
half of the images for training and the rest for testing, with paired seeds. **No gain of the hue loss is
seen**, where the paper's Table 1 reports one, and no class angle is seen either. Two small sets with one random
assignment of class angles for each seed are far from the paper's setting, so they do not refute it.

Measured with `python -m benchmarks.loss_comparison --set flowers17 --size 64 --epochs 20 --observe-size 140`,
and the same with `--set dtd10`.

{sections("loss_comparison")}

# AL2 on noisy labels

AL2's own case in small. Its gain was not reproduced. Measured with `python -m benchmarks.al2_noisy_labels`.

{sections("al2_noisy_labels")}

# Overhead of the training loop

Measured with `python -m benchmarks.training_overhead --rounds 7`.

{sections("training_overhead")}
"""


def trust() -> str:
    """Return the page on prediction sets, calibration and outside images."""
    return f"""# How far to trust an answer

Half of each class is the memory, a quarter the calibration and a quarter the test set; {{doc}}`/concepts/trust`
explains the measures.

Measured with `python -m benchmarks.trust`.

{sections("trust")}

## What this says

- **Coverage** is what was promised on all three sets: every measured share lies where shares of that many images
  are expected. Where the classifier is nearly always right, as on Caltech 101, sets keep their level by being
  empty for the least typical images; where it is not, they hold more classes.
- **Likelihoods** are too timid on Caltech 101 and on faces, where a temperature far below 1 brings the error
  to about what a calibrated classifier shows. On textures they need no temperature.
- **Distances** tell other sets apart best. *Margin* and *credibility* fail where outside images all resemble one
  class, since they are then sure: with textures in memory, faces are as credible as textures for some splits.
  Neither helps with a memory of two classes.
- **Faces are not outside of Caltech 101**, whose classes include faces: an AUROC near 0.5 by distance, and
  far below by credibility, is the right answer there.
- Classes that were kept out of memory are harder than other sets, and most so for textures.
"""


def interventions() -> str:
    """Return the page on interventions."""
    return f"""# Interventions

All images flipped alike: class positions that flip with them are locked to the *content*, those that stay are
locked to the *network*. {{doc}}`/how-to/intervene` explains the numbers.

Measured with `python -m benchmarks.interventions`; it has the subcommands.

{sections("interventions")}
"""


def audit() -> str:
    """Return the page on planted duplicates and wrong labels."""
    return f"""# Duplicates and wrong labels

What `hueprobe audit` finds of copies that were changed on purpose and of labels that were changed at random.
{{doc}}`/how-to/audit-a-data-set` explains the numbers.

Measured with `python -m benchmarks.audit`.

{sections("audit")}
"""


def calibration() -> str:
    """Return the page on the tests' levels and power."""
    return f"""# Calibration of the tests

How often each test rejects where there is no effect (its level), and where one was planted (its power). Rows
that begin with *wrong* are the obvious tests that ignore how matches depend on each other; they are shown
because they fail. {{doc}}`/concepts/statistics` says why.

Measured with `python -m benchmarks.null_calibration`, and `--real MEMORY --draws 120` for real matches.

{sections("null_calibration")}
"""


PAGES: dict[str, Callable[[], str]] = {
    "accuracy": accuracy,
    "annoy": annoy,
    "dense": dense,
    "speed": speed,
    "extraction": extraction,
    "scale": scale,
    "explorer": explorer,
    "verdicts": verdicts,
    "trust": trust,
    "audit": audit,
    "interventions": interventions,
    "training": training,
    "calibration": calibration,
}
