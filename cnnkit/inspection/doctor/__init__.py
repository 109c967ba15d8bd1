"""The doctor: is this data right? It looks at everything, or before a training at what costs nothing.

May import `runs`, `config` and what is below. Begin with `examine`, the whole examination; what it looks at and what it
finds stands in `base`, and each other file examines one thing.
"""
