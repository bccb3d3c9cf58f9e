"""Where the nodes stand in the host's menu: the groups of the README, the beginner's first."""

START = "Tilework/1 Start here"
CUT = "Tilework/2 Cut and blend"
SAMPLING = "Tilework/3 Sampling"
CHECK = "Tilework/4 Check"
SIZES = "Tilework/5 Sizes"
REPAIR = "Tilework/6 Regions and repair"
COHERENCE = "Tilework/7 Coherence"
