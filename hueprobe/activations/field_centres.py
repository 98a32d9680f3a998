"""The place on each network's grid that looks at the picture's middle, (y, x) in cells.

Measured with random weights (seed 0; EfficientNet-Lite0 with its own) by `python -m
benchmarks.field_centres --write`; networks of more than 30 million parameters were left out.
"""

FIELD_CENTRES: dict[str, tuple[float, float]] = {
    "convnext_small": (3.0, 3.0),
    "convnext_tiny": (3.0, 3.01),
    "densenet121": (3.06, 3.04),
    "densenet161": (3.05, 3.05),
    "densenet169": (3.03, 3.06),
    "densenet201": (3.07, 3.02),
    "efficientnet_b0": (3.09, 3.38),
    "efficientnet_b1": (3.89, 3.88),
    "efficientnet_b2": (4.4, 4.41),
    "efficientnet_b3": (4.49, 4.73),
    "efficientnet_b4": (6.1, 6.02),
    "efficientnet_lite0": (3.04, 3.03),
    "efficientnet_v2_s": (6.36, 6.25),
    "googlenet": (2.82, 2.86),
    "inception_v3": (3.47, 3.49),
    "mnasnet0_5": (3.25, 3.21),
    "mnasnet0_75": (3.18, 3.19),
    "mnasnet1_0": (3.21, 3.21),
    "mnasnet1_3": (3.21, 3.19),
    "mobilenet_v2": (3.31, 3.34),
    "mobilenet_v3_large": (3.39, 3.29),
    "mobilenet_v3_small": (3.23, 3.29),
    "regnet_x_1_6gf": (3.4, 3.41),
    "regnet_x_3_2gf": (3.38, 3.39),
    "regnet_x_400mf": (3.25, 3.23),
    "regnet_x_800mf": (3.28, 3.31),
}
