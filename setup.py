"""The part of hueprobe that is compiled; all else is said in setup.cfg.

Where there is no compiler it is left out, and exact search multiplies by torch.
"""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "hueprobe.search.exact._native",
            ["hueprobe/search/exact/_native.c"],
            extra_compile_args=["-O3", "-ffp-contract=off"],
            py_limited_api=True,
            optional=True,
        )
    ]
)
