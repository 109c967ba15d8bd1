"""Looked at and not changed: the data, what would suit it, what the network is shown, the network, and runs together.

May import `evaluation`, `runs`, `config` and what is below.

Begin with `doctor` (`cnnkit data`) and `first_config` (`cnnkit init`), folders of their own; `preview` draws what the
network is shown, `summary` counts the network, `comparison` puts runs beside each other (`cnnkit compare`), and
`sensitivity` makes a table of many of them (`--vary`).
"""
