from .part import Part as Part
