"""The parts of hueprobe that are compiled; all else is said in setup.cfg.

Where there is no compiler they are left out: exact search multiplies by torch, and NumPy packs sparse rows.
"""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            name,
            [f"{name.replace('.', '/')}.c"],
            extra_compile_args=["-O3", "-ffp-contract=off"],
            py_limited_api=True,
            optional=True,
        )
        for name in ("hueprobe.memory._sparse", "hueprobe.search.exact._native")
    ]
)
