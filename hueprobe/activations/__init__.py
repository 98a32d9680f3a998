"""Networks, the layer where each ends in a grid of activations, and what an image is reduced to."""

from hueprobe._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "DESCRIPTORS": ".descriptors",
        "Backbone": ".backbones",
        "BackboneInfo": ".backbones",
        "Extractor": ".extractor",
        "FieldCenter": ".receptive_fields",
        "backbone_names": ".backbones",
        "describe": ".descriptors",
        "describe_backbone": ".backbones",
        "field_center": ".receptive_fields",
        "load_backbone": ".backbones",
        "load_backbones": ".backbones",
        "pooled_from_vectors": ".descriptors",
        "unit_vectors": ".descriptors",
    },
)
