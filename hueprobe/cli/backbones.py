"""`hueprobe backbones`: list the networks, or describe one."""

import click

from hueprobe.cli.options import json_option, print_json, print_table, say


@click.command()
@click.argument("name", required=False)
@json_option
def backbones(name: str | None, as_json: bool) -> None:
    """List the built-in networks, or show the bottleneck layer, grid and weights of NAME.

    NAME may also be timm:NAME for any network of timm, or package.module:callable. For these, the closing
    nonlinearity of the bottleneck is unknown. Whether their activations are signed is only measured when
    images are indexed, and shown by `hueprobe info MEMORY`.
    """
    from hueprobe.activations import backbone_names, describe_backbone

    if name is None:
        names = backbone_names()
        if as_json:
            print_json({"backbones": names})
        else:
            say(*names)
        return
    info = describe_backbone(name)
    to_json = getattr(info.transform, "to_json", None)
    document = {
        "name": info.name,
        "layer": info.layer,
        "closing": info.closing,
        "signed": info.signed,
        "layout": info.layout,
        "channels": info.channels,
        "grid": list(info.grid),
        "field_center": None if info.field_center is None else list(info.field_center),
        "fixed_size": info.fixed_size,
        "weights": list(info.weights),
        "transform": to_json() if to_json else repr(info.transform),
    }
    if as_json:
        print_json(document)
    else:
        unknown = () if info.table_layer else ("closing", "signed")
        rows = [
            [key, "not known" if key in unknown else _shown(value)]
            for key, value in document.items()
            if key != "name"
        ]
        print_table(info.name, ["", ""], rows)


def _shown(value: object) -> str:
    if isinstance(value, list):
        return (
            " x ".join(map(str, value))
            if all(isinstance(v, int) for v in value)
            else ", ".join(map(str, value))
        )
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(item)}" for key, item in value.items())
    return "none" if value is None else str(value)
