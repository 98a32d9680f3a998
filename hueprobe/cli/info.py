"""`hueprobe info`: the content of a memory."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hueprobe.cli.options import (
    json_option,
    memory_argument,
    number,
    print_json,
    print_table,
    recall_text,
    say,
)

if TYPE_CHECKING:
    from hueprobe.memory import Memory


@click.command()
@memory_argument
@json_option
def info(memory: Path, as_json: bool) -> None:
    """Show the content of MEMORY: network, settings, images, classes and search indexes."""
    from hueprobe.memory import open_memory
    from hueprobe.memory.show import saved_text
    from hueprobe.memory.transforms import transform_words
    from hueprobe.search.exact.native import instructions, native_text
    from hueprobe.search.index import list_indexes

    opened = open_memory(memory)
    counts = dict(zip(opened.classes, opened.class_counts().tolist(), strict=True))
    images = {name: int((opened.image_class == i).sum()) for i, name in enumerate(opened.classes)}
    size = sum(entry.size for entry in opened.ledger.files.values())
    indexes = list_indexes(opened)
    document: dict[str, Any] = {
        "memory": memory,
        "complete": opened.complete,
        "images": opened.n_images,
        "unreadable": int((~opened.readable).sum()),
        "vectors": int(opened.valid().sum()),
        "zero_vectors": int((~opened.valid()).sum()) - int((~opened.readable).sum()) * opened.grid.n_cells,
        "nonnegative": opened.nonnegative,
        "bytes": size,
        "saved": opened.saved,
        "classes": {name: {"images": images[name], "vectors": counts[name]} for name in opened.classes},
        "labels": _labels(opened) if opened.has_labels else None,
        "indexes": indexes,
        "native_products": instructions(),
        "settings": opened.settings.to_json(),
    }
    if as_json:
        print_json(document)
        return
    settings = opened.settings
    how = f"{settings.precision} on {settings.device}"
    height, width = settings.grid
    closing = settings.closing or "unknown or none"
    rows = [
        ["state", "complete" if opened.complete else "not finished: run its `hueprobe index` command again"],
        ["network", f"{settings.backbone}, layer {settings.layer}, closing {closing}"],
        ["weights", f"{settings.weights} (sha256 {settings.weights_sha256[:12]})"],
        ["transform", transform_words(settings.transform)],
        ["descriptor", f"{settings.descriptor}: {height}x{width} cells x {settings.channels} channels"],
        [
            "stored",
            f"{settings.dtype}, {size / 1e6:,.1f} MB, extracted in {how}"
            + ("" if opened.saved is None else f"; vectors {saved_text(opened.saved)}"),
        ],
        ["images", f"{opened.n_images} ({document['unreadable']} unreadable)"],
        ["vectors", f"{document['vectors']} ({document['zero_vectors']} zero vectors not counted)"],
        ["values", "all >= 0" if opened.nonnegative else "positive and negative"],
    ]
    rows.append(["exact search", f"products {native_text()}"])
    rows += [
        [f"index {name}", "stale" if header["stale"] else _recalls(header["recall_at_10"])]
        for name, header in indexes.items()
    ]
    print_table(str(memory), ["", ""], rows)
    print_table(
        "", ["class", "images", "vectors"], [[n, str(images[n]), str(counts[n])] for n in opened.classes]
    )
    if (labels := document["labels"]) is not None:
        say("")
        print_table(
            f"labels of {labels['cells']} cells; {labels['unlabeled_cells']} more have none",
            ["label", "value", "images", "cells", "share of cells"],
            [
                [name, str(its["value"]), str(its["images"]), str(its["cells"]), number(its["share"], ".2%")]
                for name, its in labels["labels"].items()
            ],
        )


def _labels(memory: "Memory") -> dict[str, Any]:
    """Return the labels of a memory for the document."""
    from hueprobe.memory import count_labels

    found, labels = count_labels(memory), memory.label_set
    return {
        "cells": found.n_cells,
        "unlabeled_cells": found.n_unlabeled,
        "ignore": list(labels.ignore),
        "labels": {
            name: {
                "value": labels.values[i],
                "images": int(found.images[i]),
                "cells": int(found.cells[i]),
                "share": float(found.shares[i]),
            }
            for i, name in enumerate(labels.names)
        },
    }


def _recalls(measured: dict[str, float | None]) -> str:
    """Format recall@10 by search settings."""
    known = [(name, recall_text(math.nan if recall is None else recall)) for name, recall in measured.items()]
    return "recall@10 " + (", ".join(f"{recall} ({name})" for name, recall in known) or "not measured yet")
