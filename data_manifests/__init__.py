"""Data manifests, shipped with the package: one TOML file a data set; README.md here explains the keys."""
