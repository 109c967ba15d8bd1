"""Before training: is the data right, what would suit it, what is the network shown, what is the network.

May import `evaluation`, `runs`, `config` and what is below.

Begin with `doctor` (`cnnkit data`) and `first_config` (`cnnkit init`), folders of their own; `preview` draws what the
network is shown, `summary` counts the network.
"""
