"""Data manifests, shipped with the package: one TOML file a data set (none yet; see README.md here)."""
