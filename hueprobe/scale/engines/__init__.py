"""Engines: what starts the parts of a work, in processes, on Ray, or as jobs of SLURM."""
