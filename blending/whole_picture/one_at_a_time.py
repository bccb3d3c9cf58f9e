"""What is raised where a network cannot be given several tiles together."""


class OneAtATimeError(RuntimeError):
    """The network does not take several tiles at once, or not these. Whoever runs the network raises it."""
