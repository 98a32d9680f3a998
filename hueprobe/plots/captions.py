"""Captions of the figures of reports, by the figure's name."""

CAPTIONS = {
    "energy_maps": "Mean normalized activation energy of each memory, side by side.",
    "energy_map": "Mean over images of the normalized activation energy of each cell.",
    "energy_profile": "Energy by distance from the center, against an even map.",
    "energy_by_class": "Mean normalized activation energy of each class.",
    "accuracy": "Accuracy by descriptor and classifier, with 95 % intervals.",
    "locations": "Where same-class and other-class matches land, against where a random match would.",
    "locations_profile": "Density of match locations by distance from the center, against a random match.",
    "same_class_shares": "Share of same-class matches by query cell and by matched cell.",
    "locations_by_class": "Where same-class matches of each class land, with their mean position, whether "
    "it is off the center, and how far its images agree.",
    "other_locations_by_class": "Where matches to other classes land, by the class of the query.",
    "locations_by_image": "Where the same-class matches of single images land: the first of some classes.",
    "class_positions": "Mean position of the same-class matches of each class, in cells from the center.",
    "conditional": "Where matches land, given the query cell, in multiples of the base rate on a logarithmic "
    "scale; one map per query cell, placed at it.",
    "conditional_summary": "Staying put, spread and tangential excess of matches around their query cell.",
    "angle_accuracy": "Accuracy from the angle in each plane, against random planes and other numbers.",
    "axis_information": "Share of same-class matches by the query vector's distance from the axis.",
    "class_hues": "Mean activation hue of each class, and how concentrated it is.",
    "energy_and_matches": "Where the energy of each class lies, and where its same-class matches land.",
    "verdicts": "The effect that decides each claim, with its 95 % interval; the claimed side is shaded.",
    "self_test": "How often each test rejects on random pseudo-classes, against its nominal level.",
    "class_vectors": "Class positions as they are, locked to the content, and locked to the network.",
    "effects": "Distances between classes, as they are, content-locked and network-locked.",
    "dose_response": "Response of class positions to content that was moved by known distances.",
}


def caption(file: str) -> str:
    """Return the caption of a figure by the name of its file, whatever memory it belongs to.

    Parameters
    ----------
    file : str
        Name of the file, such as `lite0_energy_map.png`.

    Returns
    -------
    str
        The caption; the name itself for a figure that has none.
    """
    stem = file.rsplit(".", 1)[0]
    known = [name for name in CAPTIONS if stem == name or stem.endswith(f"_{name}")]
    return CAPTIONS[max(known, key=len)] if known else stem
