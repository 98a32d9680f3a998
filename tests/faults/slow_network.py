"""The tiny network, slow enough to be stopped while it works."""

import time

from tests.tiny_network import tiny


def slow():
    """Take a quarter of a second a batch."""
    network, transform = tiny()
    network.register_forward_pre_hook(lambda *_: time.sleep(0.25))
    return network, transform
